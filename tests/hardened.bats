#!/usr/bin/env bats
# The program is built with what makes its bugs hard to exploit.

load helper

@test "position-independent, no writable tables, no executable stack" {
	not_on_windows "ELF"
	run -0 readelf -hldW "$MUXCAT"
	[[ $output =~ Type:\ +DYN ]]
	[[ $output == *GNU_RELRO* ]]
	[[ $output =~ FLAGS_1\).*NOW.*PIE ]]
	[[ $output =~ GNU_STACK[^$'\n']*\ RW\  ]]
	[[ $output != *TEXTREL* ]]
}

@test "the stack and the C library's buffers are checked" {
	not_on_windows "ELF"
	run -0 readelf -sW --dyn-syms "$MUXCAT"
	[[ $output == *__stack_chk_fail@* ]]
	case $MUXCAT_BUILD in *asan | *tsan) skip "a sanitizer looks at the buffers" ;; esac
	[[ $output == *__snprintf_chk@* ]]
}

@test "Windows chooses the address, of all 64 bits, and executes no data" {
	on_windows || skip "an executable of Windows"
	run -0 x86_64-w64-mingw32-objdump -ph "$MUXCAT_BUILD/windows/muxcat.exe"
	local what
	for what in HIGH_ENTROPY_VA DYNAMIC_BASE NX_COMPAT .reloc; do
		[[ $output == *$what* ]]
	done
}
