/*
 * A certificate of `receiver.example` that signs itself, and its key, for a receiver of a test. Valid for a hundred years:
 *   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
 *     -subj /CN=receiver.example -addext subjectAltName=DNS:receiver.example
 */
export const TEST_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1QGpuaeQNMBtHqzF
an0cEOYrrByFyDDe/4IkOxPWfJmhRANCAAQRt0vFymPdDRA3wn2Pd+tQ0QSoMtmz
Xm43eRWIVgdTbxDRNJkZ4scoBH9p+ka/+bQoctREsZjicW7pkCN6toVn
-----END PRIVATE KEY-----
`;

export const TEST_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBqTCCAVCgAwIBAgIUTbi0LOQW0LVz0nNDAoyH/zYpclIwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQcmVjZWl2ZXIuZXhhbXBsZTAgFw0yNjExMjgwODM4MTRaGA8y
MTI2MTEwNDA4MzgxNFowGzEZMBcGA1UEAwwQcmVjZWl2ZXIuZXhhbXBsZTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABBG3S8XKY90NEDfCfY9361DRBKgy2bNebjd5
FYhWB1NvENE0mRnixygEf2n6Rr/5tChy1ESxmOJxbumQI3q2hWejcDBuMB0GA1Ud
DgQWBBTjz8FwEkYxfqeNnC5Ts1QBy860cjAfBgNVHSMEGDAWgBTjz8FwEkYxfqeN
nC5Ts1QBy860cjAPBgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCEHJlY2VpdmVy
LmV4YW1wbGUwCgYIKoZIzj0EAwIDRwAwRAIgcYT8eDL/RByx8RxkUO/OnFDxgIi3
LYmioM/YGuCf8F4CICI8vBRo6bt66BswpUgFmNyuNDaYT8Gzbzs4fkTefVHT
-----END CERTIFICATE-----
`;
