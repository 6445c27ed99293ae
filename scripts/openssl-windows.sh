#!/bin/bash
# Puts OpenSSL for Windows (libcrypto-3-x64.dll, libssl-3-x64.dll) into a folder: Debian has no package
# of it, so it is built with mingw-w64 from Debian's source package. Once a machine: it takes minutes
# and is kept in the user's cache.
#   scripts/openssl-windows.sh FOLDER
set -eu

cache=${XDG_CACHE_HOME:-~/.cache}/muxcat/openssl-windows
work=

# apt-get with Debian's source packages, and nobody's settings but ours
sources() {
	apt-get -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources" \
		-o Dir::State::Lists="$work/lists" "$@"
}

fetch() {
	local file
	mkdir -p "$work/sources" "$work/lists/partial"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
		[ ! -s "$file" ] || sed 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$file" \
			>"$work/sources/$(basename "$file")"
	done
	sources update
	(cd "$work" && sources source --tar-only openssl && mkdir openssl &&
		tar -xf openssl_*.orig.tar.* --strip-components=1 -C openssl)
}

# What muxcat does not use is left out: a third of the time.
configure_and_make() {
	cd "$work/openssl"
	./Configure mingw64 shared no-tests no-legacy no-engine no-ssl3 no-dtls no-comp no-srp no-psk no-srtp \
		no-idea no-seed no-camellia no-bf no-cast no-rc2 no-rc4 no-md4 no-mdc2 no-whirlpool no-rmd160 \
		no-sm2 no-sm3 no-sm4 no-aria no-gost no-cms no-ts no-ct no-ocsp no-cmp no-ec2m \
		--cross-compile-prefix=x86_64-w64-mingw32-
	make -j"$(nproc)" build_libs
}

build() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	if ! (fetch && configure_and_make) >"$work/log" 2>&1 </dev/null; then
		tail -n 20 "$work/log" >&2
		exit 1
	fi
	mkdir -p "$cache.new"
	cp "$work"/openssl/lib{crypto,ssl}-3-x64.dll "$cache.new"
	mv "$cache.new" "$cache"
}

if [ ! -d "$cache" ]; then
	echo "building OpenSSL for Windows (once, some minutes)"
	build
fi
cp -u "$cache"/*.dll "$1"
