# SPDX-License-Identifier: LGPL-2.1-or-later
# TLS, redirects and passwords: nobody is trusted who should not be, and nobody is told what he should not know.
source "$ROOT/tests/cli/http_helpers.sh"
make_disk files/disk.raw
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=throw-away CA" -keyout ca.key -out ca.pem 2>said
openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout web.key -out web.csr 2>said
openssl x509 -req -in web.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out web.pem \
  -extfile <(echo "subjectAltName = DNS:localhost") 2>said
serve tls --tls web.pem web.key
serve web
tls=https://localhost:$(<tls.port)
web=http://127.0.0.1:$(<web.port)
other=http://localhost:$(<web.port)

expect 1 "certificate" ferry convert "$tls/disk.raw" out.raw
expect 1 "hint: pass --cacert FILE" ferry convert "$tls/disk.raw" out.raw
[[ ! -s tls.log ]] || fail "a server was asked that is not trusted: $(cat tls.log)"
expect 1 "certificate" ferry info --cacert ca.pem "https://127.0.0.1:$(<tls.port)/disk.raw" # of another name
expect 1 "nosuch.pem: read: No such file" ferry info --cacert nosuch.pem "$tls/disk.raw"
echo nonsense >bad.pem
expect 1 "certificate" ferry info --cacert bad.pem "$tls/disk.raw"
ferry convert -q --cacert ca.pem "$tls/disk.raw" out.raw
same files/disk.raw out.raw
rm out.raw

# Redirects: to the same host, to another one, from http to https; not back, not to files, not for ever.
for way in redirect redirect=301 redirect=307 redirect=308 "to=$other|disk.raw"; do
  ferry convert -q "$web/${way//\//|}/disk.raw" out.raw
  same files/disk.raw out.raw
  rm out.raw
done
ferry convert -q --cacert ca.pem "$web/to=https:||localhost:$(<tls.port)|disk.raw/disk.raw" out.raw
same files/disk.raw out.raw
rm out.raw
expect 1 "redirected from https to http" ferry convert --cacert ca.pem "$tls/to=http:||127.0.0.1:$(<web.port)|disk.raw/disk.raw" out.raw
expect 1 "redirected to what is not an address of a web server" ferry convert "$web/to=file:|||etc|passwd/disk.raw" out.raw
expect 1 "redirected more than 10 times" ferry convert "$web/loop/disk.raw" out.raw
# Where a redirect led to may be valid for a while only.
: >web.log
ferry convert -q -j 1 "$web/redirect,signed/disk.raw" out.raw
same files/disk.raw out.raw
grep -q '^403 ' web.log || fail "it did not run out"
rm out.raw
# Several workers see that at once.
for way in "" ,refuse=400; do
  : >web.log
  ferry convert -q -j 8 "$web/redirect,signed,delay=20$way/disk.raw" out.raw
  same files/disk.raw out.raw
  grep -q '^40[03] ' web.log || fail "it did not run out"
  rm out.raw
done

# Passwords: from a file, or the address; told to that server only, and to nobody who reads messages.
expect 1 "wants a user and a password" ferry convert "$web/login=me:secret/disk.raw" out.raw
expect 1 "hint: .*--netrc-file FILE" ferry convert "$web/login=me:secret/disk.raw" out.raw
printf 'machine 127.0.0.1 login me password secret\n' >netrc
ferry convert -q --netrc-file netrc "$web/login=me:secret/disk.raw" out.raw
same files/disk.raw out.raw
rm out.raw
expect 1 "wants a user and a password" ferry info --netrc-file netrc "$other/login=me:secret/disk.raw"
expect 1 "nosuch: read: No such file" ferry info --netrc-file nosuch "$web/disk.raw"
: >web.log
with=http://me:s3cret@127.0.0.1:$(<web.port)
ferry info "$with/login=me:s3cret/disk.raw" >said
! grep -q s3cret <(sed 's,/login=me:s3cret,,' said) || fail "it shows the password: $(cat said)"
grep -q ' auth ' web.log || fail "the password was not sent"
: >web.log
ferry info "$with/to=${other//\//|}|disk.raw/disk.raw" >said
[[ $(grep -c ' auth ' web.log) == 1 ]] || fail "another server was told the password: $(cat web.log)"
for address in "$with/nosuch" "$web/nosuch?X-Signature=s3cret" "${with}:x/nosuch"; do
  status=0
  ferry info "$address" >said 2>&1 || status=$?
  ((status > 0)) || fail "$address was found"
  ! grep -q s3cret said || fail "it shows the secret: $(cat said)"
done
ferry convert -q --report report "$web/disk.raw?X-Signature=s3cret" out.raw
! grep -q s3cret report || fail "$(cat report)"
grep -q 'disk.raw?\.\.\.' report || fail "$(cat report)"
