#!/usr/bin/env bash
# Tries a running service with nothing but bash, curl and openssl, and signs its webhooks in every form that is taken.
set -euo pipefail

usage() {
  cat <<'USAGE'
Tries a running service with curl, and signs its webhooks in every form that is taken.

  bash scripts/curl_test.sh

  BASE_URL         where the service is; default: the HOST and PORT that it has, http://127.0.0.1:8000
  WEBHOOK_SECRET   the one that the service has; default: the development secret
  API_KEY          sent as Authorization: Bearer, when set

A .env file is read as the service reads it.
Exit code: 0 when every answer was right, 1 when one was not, 2 for wrong arguments.
USAGE
}

# give_up CODE SENTENCE
give_up() {
  printf '%s\n' "$2" >&2
  exit "$1"
}

for argument in "$@"; do
  case $argument in
    --help | -h) usage && exit ;;
  esac
done
[[ $# -eq 0 ]] || give_up 2 "Unexpected argument '$1'; --help shows what there is."

# read_env_file NAME…: takes these from .env, where the environment does not have them.
read_env_file() {
  local line name value
  [[ -f .env ]] || return 0
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z_]+)[[:space:]]*=[[:space:]]*(.*)$ ]] || continue
    name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
    [[ " $* " == *" $name "* ]] || continue
    # Between quotes, everything counts; without them, a # begins a comment.
    if [[ $value =~ ^\"([^\"]*)\" || $value =~ ^\'([^\']*)\' || $value =~ ^\`([^\`]*)\` ]]; then
      value=${BASH_REMATCH[1]}
    else
      value=${value%%#*}
      value=${value%"${value##*[![:space:]]}"}
    fi
    [[ -n ${!name+set} ]] || printf -v "$name" '%s' "$value"
  done <.env
}
read_env_file BASE_URL HOST PORT WEBHOOK_SECRET API_KEY

# All interfaces are an address to listen on, not one to call: loopback is one of them.
HOST=${HOST:-127.0.0.1}
case $HOST in
  0.0.0.0) HOST=127.0.0.1 ;;
  ::) HOST='[::1]' ;;
  *:*) HOST="[$HOST]" ;;
esac
BASE_URL=${BASE_URL:-http://$HOST:${PORT:-8000}}
BASE_URL=${BASE_URL%/}
WEBHOOK_SECRET=${WEBHOOK_SECRET:-webhook-secret-key}
API_KEY=${API_KEY:-}

ok=0
failed=0
# The status and the body of the latest answer.
status=
body=

# request METHOD PATH [curl arguments…]
request() {
  local method=$1 path=$2 answer
  shift 2
  # The status goes on a line of its own after the body. 000: there was no answer at all.
  answer=$(curl --silent --show-error --max-time 10 --request "$method" "$BASE_URL$path" \
    --header 'Content-Type: application/json' --write-out '\n%{http_code}' "$@") || true
  status=${answer##*$'\n'}
  body=${answer%$'\n'*}
}

# The calls of a shop, which has the API key; a payment provider has only the secret.
shop_request() {
  if [[ -n $API_KEY ]]; then
    request "$@" --header "Authorization: Bearer $API_KEY"
  else
    request "$@"
  fi
}

# check NAME STATUS TEXT: the latest answer has this status, and this text in its body.
check() {
  local name=$1 wanted_status=$2 wanted_text=$3
  if [[ $status == "$wanted_status" && $body == *"$wanted_text"* ]]; then
    ok=$((ok + 1))
    printf '  ok      %s\n' "$name"
  else
    failed=$((failed + 1))
    printf '  FAILED  %s\n          expected %s with %s\n          got      %s %s\n' \
      "$name" "$wanted_status" "$wanted_text" "$status" "$body"
  fi
}

# The id of the latest answer: the member named "id" itself, not one that only ends so.
id_of_answer() {
  [[ $body =~ \"id\":([0-9]+) ]] && printf '%s' "${BASH_REMATCH[1]}"
}

to_hex() {
  od -An -v -tx1 | tr -d ' \n'
}

# hmac HEX_KEY, of standard input, as bytes. The key is in hex, so that any byte can be in it.
hmac() {
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary
}

literal_key=$(printf '%s' "$WEBHOOK_SECRET" | to_hex)

# For Standard Webhooks only, what follows whsec_ is base64.
standard_key() {
  if [[ $WEBHOOK_SECRET == whsec_* ]]; then
    printf '%s' "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | to_hex
  else
    printf '%s' "$literal_key"
  fi
}

# new_order: places an order of one piece and leaves its id in order_id.
new_order() {
  shop_request POST /orders --data-raw "{\"product_id\":$product_id,\"quantity\":1}"
  check "$1" 201 '"status":"PENDING"'
  order_id=$(id_of_answer) || stop 'Without an order, there is nothing to pay.'
}

# The payment of the order in order_id, as it is signed and sent: not a byte may differ.
payment() {
  printf '{"event_type":"payment.succeeded","event_id":"evt_curl_%s","order_id":%s,"amount":29.99}' \
    "$order_id" "$order_id"
}

# pay FORM [curl arguments…]: sends the payment, which must make the order PAID.
pay() {
  local form=$1
  shift
  request POST /webhooks/payment --data-raw "$(payment)" "$@"
  check "webhook signed with $form pays" 200 '"status":"processed"'
}

stop() {
  printf '\n%s\n%d ok, %d failed\n' "$1" "$ok" "$failed"
  exit 1
}

curl --silent --output /dev/null --max-time 10 "$BASE_URL/health" ||
  give_up 1 "Nothing answers at $BASE_URL; start the service with npm start, or set BASE_URL."
printf 'Testing %s\n\n' "$BASE_URL"

request GET /health
check 'health' 200 '{"status":"healthy","service":"orders-inventory"}'

sku="CURL-$(openssl rand -hex 6)"
shop_request POST /products --data-raw "{\"sku\":\"$sku\",\"name\":\"Curl test product\",\"price\":29.99,\"stock\":100}"
check 'create product' 201 "\"sku\":\"$sku\""
product_id=$(id_of_answer) || stop 'Without a product, there is nothing to order.'

new_order 'place order'
first_order_id=$order_id
shop_request GET "/products/$product_id"
check 'stock went down' 200 '"stock":99'

request POST /webhooks/payment --data-raw "$(payment)"
check 'webhook without a signature is refused' 401 '"detail":"Missing webhook signature"'
forged=$(payment | hmac "$(printf 'another secret' | to_hex)" | to_hex)
request POST /webhooks/payment --data-raw "$(payment)" --header "X-Webhook-Signature: sha256=$forged"
check 'webhook with a bad signature is refused' 403 '"detail":"Invalid webhook signature"'

hex=$(payment | hmac "$literal_key" | to_hex)
pay 'sha256=<hex>' --header "X-Webhook-Signature: sha256=$hex"
request POST /webhooks/payment --data-raw "$(payment)" --header "X-Webhook-Signature: sha256=$hex"
check 'the same webhook again is known' 200 '"status":"already_processed"'
shop_request GET "/orders/$first_order_id"
check 'order is paid' 200 '"status":"PAID"'

new_order 'place another order'
base64=$(payment | hmac "$literal_key" | openssl base64 -A)
pay 'sha256=<base64>' --header "X-Webhook-Signature: sha256=$base64"

new_order 'place another order'
hex=$(payment | hmac "$literal_key" | to_hex)
pay 'bare hex' --header "X-Webhook-Signature: $hex"

new_order 'place another order'
webhook_id="msg_curl_$order_id"
timestamp=$(date +%s)
signature=$({ printf '%s.%s.' "$webhook_id" "$timestamp" && payment; } | hmac "$(standard_key)" | openssl base64 -A)
pay 'Standard Webhooks' --header "webhook-id: $webhook_id" --header "webhook-timestamp: $timestamp" \
  --header "webhook-signature: v1,$signature"

shop_request POST /orders --data-raw "{\"product_id\":$product_id,\"quantity\":200}"
check 'more than there is is refused' 409 '"detail":"Insufficient stock. Available: 96, Requested: 200"'

# Its orders stay, but no customer sees the product any more.
shop_request PATCH "/products/$product_id" --data-raw '{"active":false}'
check 'deactivate the product' 200 '"active":false'

printf '\n%d ok, %d failed\n' "$ok" "$failed"
[[ $failed -eq 0 ]]
