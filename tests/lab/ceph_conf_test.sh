# SPDX-License-Identifier: LGPL-2.1-or-later
# The cluster is found as other Ceph clients find it; rbd is the oracle. What cannot be read is named.
eval "$("$ROOT/tools/lab" env)"
tidy() {
  export CEPH_CONF=$conf
  ceph auth rm client.cc-user
  rbd rm --no-progress rbd/cc-1
}
conf=$CEPH_CONF keyring=$VMFERRY_LAB/keyring
trap 'finish tidy' EXIT
rbd create --size 1M rbd/cc-1
unset CEPH_CONF CEPH_ARGS
export HOME=$PWD/home
info() {
  ferry info --ceph-timeout 10 "$@" rbd:rbd/cc-1
}
works() { # COMMAND...: and rbd does the same with that environment
  "$@" >said 2>&1 || fail "$*: $(cat said)"
}

# Monitors without "mon host": sections, a map of them, a word of CEPH_ARGS.
addr=$(ceph -c "$conf" mon dump -f json 2>/dev/null | python3 -c '
import json, sys
print(*(a["addr"] for a in json.load(sys.stdin)["mons"][0]["public_addrs"]["addrvec"] if a["type"] == "v1"))')
grep -viE '^[[:space:]]*mon[ _](host|initial[ _]members)' "$conf" >none.conf
{
  cat none.conf
  printf '\n[mon.a]\nmon addr = %s\n' "$addr"
} >sections.conf
ceph -c "$conf" mon getmap -o monmap 2>/dev/null
{
  cat none.conf
  printf '\n[global]\nmonmap = %s\n' "$PWD/monmap"
} >map.conf
cp sections.conf "odd, name.conf"
expect 1 "odd, name.conf: .*name a link that has none" info --ceph-conf "odd, name.conf"
for each in sections.conf map.conf; do
  works rbd -c "$each" info rbd/cc-1
  works info --ceph-conf "$each"
done
CEPH_ARGS="--mon-host $addr --keyring $keyring" works info --ceph-conf none.conf
expect 1 "no configuration names its monitors" timeout 60 "$VMFERRY" info --ceph-conf none.conf rbd:rbd/cc-1
expect 1 "no monitors found in /none" ferry info "rbd:rbd/cc-1:conf=none.conf:monmap=/none"

# What Ceph's programs take from CEPH_ARGS before anything else. Options of the command line win.
ceph -c "$conf" auth get-or-create client.cc-user mon 'profile rbd' osd 'profile rbd' -o user.keyring
CEPH_ARGS="-c $conf" works rbd info rbd/cc-1
CEPH_ARGS="-c $conf" works info
CEPH_ARGS="--conf=$conf --id cc-user --keyring user.keyring" works info
CEPH_ARGS="-c $conf -n client.none" expect 1 "holds none of client.none" info
CEPH_ARGS="-c $conf -n client.none" works info --id admin
CEPH_ARGS="-c /none.conf" expect 1 "/none.conf: .*No such file" info
CEPH_ARGS="-c /none.conf" works info --ceph-conf "$conf"

# Files that cannot be read. Even root cannot open a loop.
ln -s loop loop
CEPH_CONF=/none.conf expect 1 "^vmferry: /none.conf: read the Ceph configuration: No such file" info
CEPH_CONF=/none.conf expect 1 "hint: check the environment variable CEPH_CONF" info
CEPH_CONF=$PWD/loop expect 1 "/loop: read the Ceph configuration: Too many levels" info
CEPH_CONF=$PWD expect 1 "read the Ceph configuration: Is a directory" info
echo '[[' >bad.conf
expect 1 "bad.conf: .*not in the form of a Ceph configuration" info --ceph-conf bad.conf
mkdir -p home/.ceph
ln -s one.conf home/.ceph/one.conf
expect 1 "no configuration names its monitors .*home/.ceph/one.conf: Too many levels" info --cluster one
cp bad.conf home/.ceph/bad.conf
expect 1 "home/.ceph/bad.conf: .*not in the form" info --cluster bad

export CEPH_CONF=$conf
expect 1 "no key for this user found .*/loop: Too many levels" info --keyring "$PWD/loop"
expect 1 "no key for this user found .*: Is a directory" info --keyring "$PWD"
expect 1 "user.keyring holds none of client.admin" info --keyring user.keyring
echo nonsense >nonsense
expect 1 "nonsense holds none of client.admin" info --keyring nonsense
expect 1 "cannot use the addresses of its monitors \(/x\)" ferry info rbd:rbd/cc-1:mon_host=/x
