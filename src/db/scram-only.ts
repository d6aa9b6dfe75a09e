import { Socket } from 'node:net';

/*
 * A connection that proves the server before it trusts it. The embedded PostgreSQL may be dead, and its port another
 * program's by now: pg would send that program the password in clear when it asks for it, or trust its answers
 * when it asks for nothing. With SCRAM the password never leaves us, and the server has to know it, too.
 */

/** Message types and codes of PostgreSQL's protocol (its chapter "Message Formats"). */
const AUTHENTICATION = 0x52;
const OK = 0;
const SASL = 10;
const SASL_CONTINUE = 11;
const SASL_FINAL = 12;
/** Type, length, code. */
const HEAD_BYTES = 9;
/** More than any server says before it lets a client in. */
const LIMIT_BYTES = 65_536;

/** A socket for pg's `stream` option, to a server that is to use SCRAM and nothing else. */
export function scramOnlySocket(): Socket {
  const socket = new Socket();
  let seen = Buffer.alloc(0);
  let proven = false;
  // It listens before pg does, so that pg's answer to a wrong request finds a destroyed socket.
  const check = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    while (seen.length >= HEAD_BYTES) {
      const isAuthentication = seen[0] === AUTHENTICATION;
      const code = seen.readInt32BE(5);
      if (isAuthentication && code === OK && proven) {
        socket.off('data', check);
        return;
      }
      if (isAuthentication && ![SASL, SASL_CONTINUE, SASL_FINAL].includes(code)) return refuse();
      if (isAuthentication && code === SASL_FINAL) proven = true;
      const end = 1 + seen.readInt32BE(1);
      if (end < 5 || end > LIMIT_BYTES) return refuse();
      if (seen.length < end) return;
      seen = seen.subarray(end);
    }
  };
  const refuse = (): void => {
    socket.off('data', check);
    socket.destroy(
      new Error('the server does not prove itself by SCRAM, so it is not the embedded PostgreSQL'),
    );
  };
  socket.on('data', check);
  return socket;
}
