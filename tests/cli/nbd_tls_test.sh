# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD over TLS: with certificates of a throw-away authority, and with a pre-shared key.
# shellcheck source=tests/nbd-server
source "$ROOT/tests/nbd-server"
make_disk disk.raw

# copies LOCATION
copies() {
  rm -f copy.raw
  ferry convert -q "$1" copy.raw || fail "not copied: $1"
  same copy.raw disk.raw
}
# refused PATTERN LOCATION: nothing is read, and no secret is told.
refused() {
  expect 1 "$1" ferry info "$2"
}

# authority NAME: with its own certificate, and one for the server "localhost", in the directory NAME.
authority() {
  mkdir "$1"
  local key="openssl ecparam -genkey -name prime256v1 -noout -out"
  $key "$1/ca-key.pem"
  openssl req -x509 -new -key "$1/ca-key.pem" -subj "/CN=$1" -days 2 -out "$1/ca-cert.pem"
  $key "$1/server-key.pem"
  openssl req -new -key "$1/server-key.pem" -subj /CN=localhost -addext subjectAltName=DNS:localhost -out request.pem
  openssl x509 -req -in request.pem -CA "$1/ca-cert.pem" -CAkey "$1/ca-key.pem" -CAcreateserial -copy_extensions copy -days 2 \
    -out "$1/server-cert.pem"
}
authority ours >openssl.log 2>&1 || fail "$(cat openssl.log)"
authority others >openssl.log 2>&1 || fail "$(cat openssl.log)"

port=$((30000 + RANDOM % 10000))
nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" --tls=require --tls-certificates="$PWD/ours" \
  file disk.raw 2>>servers.log &
servers+=($!)
serve tls.sock --tls=require --tls-certificates="$PWD/ours" file disk.raw
until_true 10 nbdinfo "nbds://localhost:$port/?tls-certificates=$PWD/ours"
copies "nbds://localhost:$port/?tls-certificates=$PWD/ours"
copies "nbds+unix:///?socket=tls.sock&tls-certificates=ours"
copies "nbds://127.0.0.1:$port/?tls-certificates=ours&tls-verify-peer=0"
refused "nbds://127.0.0.1:$port/: connect: .*certificate verification" "nbds://127.0.0.1:$port/?tls-certificates=$PWD/ours"
refused "connect: .*certificate verification" "nbds://localhost:$port/?tls-certificates=$PWD/others"
expect 2 "which server is trusted" ferry info "nbds://localhost:$port/"
refused "connect: .*(TLS|tls)" "nbd://localhost:$port/"
refused "none/ca-cert.pem: read .*No such file" "nbds://localhost:$port/?tls-certificates=none"
mkdir broken
for text in "" garbage "-----BEGIN CERTIFICATE-----"; do
  echo "$text" >broken/ca-cert.pem
  refused "connect: " "nbds://localhost:$port/?tls-certificates=broken"
done

psktool --quiet -u alice -p keys.psk >psktool.log 2>&1 || psktool -u alice -p keys.psk >psktool.log 2>&1
psktool -u bob -p bobs.psk >psktool.log 2>&1
serve psk.sock --tls=require --tls-psk="$PWD/keys.psk" file disk.raw
copies "nbds+unix://alice@/?socket=psk.sock&tls-psk-file=keys.psk"
copies "nbds+unix:///?socket=psk.sock&tls-psk-file=$PWD/keys.psk&tls-username=alice"
refused "connect: " "nbds+unix://bob@/?socket=psk.sock&tls-psk-file=bobs.psk"
refused "none.psk" "nbds+unix://alice@/?socket=psk.sock&tls-psk-file=none.psk"
key=$(cut -d: -f2 keys.psk)
! ferry info "nbds+unix://alice@/?socket=none.sock&tls-psk-file=keys.psk" 2>&1 | grep -q "$key" || fail "the key is told"

# Several connections at once, to write and read back.
truncate -s 24M back.raw
serve target.sock --tls=require --tls-psk="$PWD/keys.psk" file back.raw
ferry convert -q --force --verify disk.raw "nbds+unix://alice@/?socket=target.sock&tls-psk-file=keys.psk"
cmp -n "$(stat -c %s disk.raw)" disk.raw back.raw
