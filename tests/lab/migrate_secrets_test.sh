# SPDX-License-Identifier: LGPL-2.1-or-later
# Secrets of libvirt: what is not Ceph's is never written over; a private one can be set, but not compared.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish clear_all' EXIT
mine=5b0c0de0-0000-4000-8000-00000000000

clear_all() {
  local number
  for number in 1 2; do
    on_a secret-undefine $mine$number
  done
  clear_guests
}

# define_secret NUMBER PRIVATE USAGE
define_secret() {
  echo "<secret ephemeral='no' private='$2'><uuid>$mine$1</uuid>$3</secret>" >secret.xml
  on_a secret-define secret.xml >/dev/null
}

truncate -s 4M disk.raw
machine mg-secret "$(file_disk "$PWD/disk.raw" vda)"

define_secret 1 no "<usage type='volume'><volume>/srv/luks.img</volume></usage>"
printf 'a passphrase' >passphrase
on_a secret-set-value ${mine}1 --file passphrase --plain >/dev/null
secret=${mine}1
for more in "" --define-secret; do
  # shellcheck disable=SC2086
  expect 1 "FAILED +secret on hosta: .*for volume /srv/luks.img" move $more
  # shellcheck disable=SC2086
  ! move $more 2>&1 | grep 'hint:.*--define-secret' || fail "it recommends to write over it"
done
[[ $(on_a secret-get-value ${mine}1 --plain) == "a passphrase" ]] || fail "the passphrase is gone"

define_secret 2 yes "<usage type='ceph'><name>vmferry test</name></usage>"
secret=${mine}2
expect 1 "does not have a value" move --check
printf 'AQBrb2tvanVuayBrZXkganVuay0tLS0tLS0tLS0tLQ==' >key
on_a secret-set-value $secret --file key >/dev/null 2>&1
expect 0 "warning +secret on hosta: it is private" move --check
move -q --define-secret
on_a start mg-secret # QEMU got in with it
