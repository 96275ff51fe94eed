# SPDX-License-Identifier: LGPL-2.1-or-later
# What is installed works without the source tree: program, pages, completion, library; and Debian's packages of it.
tree=$(dirname "$VMFERRY")
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$tree/CMakeCache.txt")
grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr$' "$tree/CMakeCache.txt" || fail "lay the tree out with -DCMAKE_INSTALL_PREFIX=/usr, for its packages"

cmake --install "$tree" --prefix "$work/usr" >installed
libraries=$(dirname "$(find usr -name 'libvmferry.so.0')")
[[ $(usr/bin/vmferry --version) == "vmferry $version"* ]] || fail "$(usr/bin/vmferry --version)"
for page in "$ROOT"/docs/*.scd; do
  [[ -s usr/share/man/man1/$(basename "$page" .scd).gz ]] || fail "no page of $page"
done

# What needs Ceph, libvirt, libguestfs, libarchive, libnbd or libcurl is loaded when it is asked for. Without it the rest goes on, and says what is missing.
ldd usr/bin/vmferry >loaded
! grep -E 'librbd|librados|libvirt|libguestfs|libarchive|libnbd|libcurl' loaded || fail "loaded for everything"
make_disk disk.raw
mv "$libraries/vmferry" moved
cp moved/*.so . # what lies about in the current directory is not loaded
[[ $(usr/bin/vmferry --version) == *"without librbd, without libvirt, without libguestfs, without libarchive, without libnbd, without libcurl" ]] || fail "$(usr/bin/vmferry --version)"
expect 0 '^$' usr/bin/vmferry convert -q disk.raw copy.raw
same disk.raw copy.raw && rm copy.raw
expect 1 'vmferry-rbd.so: load: this vmferry has no such module' usr/bin/vmferry info rbd:rbd/web1
expect 1 'hint: install libvirt0;' usr/bin/vmferry migrate web1 --pool rbd --check
expect 1 'hint: install libguestfs0;' usr/bin/vmferry sparsify --trim disk.raw copy.raw
expect 1 'hint: install libcurl4;' usr/bin/vmferry info https://localhost/disk.raw
xz -0k disk.raw # needs none of them
expect 0 '^$' usr/bin/vmferry convert -q disk.raw.xz copy.raw
same disk.raw copy.raw && rm copy.raw
zstd -q disk.raw
expect 1 'hint: install libarchive13;' usr/bin/vmferry convert disk.raw.zst copy.raw
expect 1 'hint: install libnbd0;' usr/bin/vmferry info nbd://localhost/
mv moved "$libraries/vmferry"
[[ $(usr/bin/vmferry --version) == *"librbd "[0-9]*"libvirt "[0-9]*"libguestfs "[0-9]*"libarchive "[0-9]*"libnbd "[0-9]*"libcurl "[0-9]* ]] || fail "$(usr/bin/vmferry --version)"
# One of another build is not taken.
LC_ALL=C sed "s/${version//./\\.}/9.9.9/g" "$libraries/vmferry/vmferry-rbd.so" >other.so
cmp -s other.so "$libraries/vmferry/vmferry-rbd.so" && fail "no version in the module"
cp "$libraries/vmferry/vmferry-rbd.so" whole.so
mv other.so "$libraries/vmferry/vmferry-rbd.so"
expect 1 'vmferry-rbd.so: load: it is of another build' usr/bin/vmferry info rbd:rbd/web1
mv whole.so "$libraries/vmferry/vmferry-rbd.so"

# A project of somebody's, by CMake and by pkg-config.
cmake -S "$ROOT/tests/consumer" -B built -DCMAKE_PREFIX_PATH="$work/usr" >configured
cmake --build built >/dev/null
export PKG_CONFIG_PATH=$work/$libraries/pkgconfig LD_LIBRARY_PATH=$work/$libraries
[[ $(pkg-config --modversion vmferry) == "$version" ]]
read -ra flags < <(pkg-config --cflags --libs vmferry)
c++ -std=c++20 "$ROOT/docs/example.cpp" -o by-pkg-config "${flags[@]}"
for program in built/consumer ./by-pkg-config; do
  expect 0 "^[0-9]+ bytes of data" "$program" disk.raw copy.raw
  same disk.raw copy.raw
  rm copy.raw
  expect 1 "missing.raw: open: No such file" "$program" missing.raw copy.raw
  expect 1 "connect to the cluster" env -u CEPH_CONF HOME=/none "$program" rbd:rbd/web1:mon_host=127.0.0.1 copy.raw
done

# The library shows what its headers declare, and nothing of its insides.
nm -DC --defined-only "$libraries/libvmferry.so.0" >shown
grep -q 'vmferry::open_image(' shown || fail "open_image is hidden"
hidden=$(grep -E ' (vmferry::(cli::|fleet::|migrate::|rehearsal::|Qcow2|Rbd[A-Z][a-z]+Sink|BlockingCall|partial_path)|fmt::|nlohmann::|toml::)' shown | grep -v 'std::' || true)
[[ -z $hidden ]] || fail "shown, though no header declares it: $(head -n 5 <<<"$hidden")"

# Debian's packages.
(cd "$tree" && cpack -B "$work/packages" >"$work/packed") || fail "$(cat packed)"
release=1~deb$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)
for package in vmferry libvmferry0 libvmferry-dev; do
  file=packages/${package}_$version-${release}_$(dpkg --print-architecture).deb
  [[ -s $file ]] || fail "no $file: $(ls packages)"
  dpkg-deb -c "$file" >"$package.list"
  dpkg-deb -f "$file" >"$package.control"
done
grep -q '/usr/bin/vmferry$' vmferry.list
grep -q '/usr/share/man/man1/vmferry-migrate.1.gz$' vmferry.list
grep -q '/usr/share/bash-completion/completions/vmferry$' vmferry.list
grep -q "^Depends: .*libvmferry0 (= $version-$release)" vmferry.control
grep -q "/libvmferry.so.$version$" libvmferry0.list
for module in rbd:librbd1 libvirt:libvirt0 guestfs:libguestfs0 archive:libarchive13 nbd:libnbd0 curl:libcurl4; do
  grep -q "/vmferry/vmferry-${module%:*}.so$" libvmferry0.list
  grep -q "^Depends: .*${module#*:}" libvmferry0.control
done
grep -q '/usr/include/vmferry/version.h$' libvmferry-dev.list
grep -q '/libvmferry.so ->' libvmferry-dev.list
grep -q "^Depends: libvmferry0 (= $version-$release)" libvmferry-dev.control
lintian --allow-root --fail-on error packages/*.deb >lintian.log || fail "$(cat lintian.log)"
