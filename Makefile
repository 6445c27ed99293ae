# muxcat: make, make quickstart, make check, make install; see README.md.
#   CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR as usual; V=1 shows the commands; B is the build folder;
#   TLS=0 builds without OpenSSL, HARDEN=0 without what makes bugs hard to exploit.

CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
DESTDIR ?=
B ?= build
TLS ?= 1
HARDEN ?= 1

# A packager's own flags come behind these and win. _FORTIFY_SOURCE needs an optimiser, and hides from the
# sanitizers what they would look at.
ifneq ($(HARDEN),0)
HARDEN_CFLAGS := -fstack-protector-strong -fPIE
HARDEN_LDFLAGS := -pie -Wl,-z,relro,-z,now
# mingw-w64's stack protector would load the system's cryptography at each start, and double what that takes
WINDOWS_HARDEN_LDFLAGS := -Wl,--dynamicbase,--nxcompat,--high-entropy-va
ifeq ($(SANITIZE)$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),)
HARDEN_CFLAGS += $(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
# what a sanitizer does at the end, a confined process must not
override CPPFLAGS += -D_GNU_SOURCE -Isrc -Isrc/posix $(if $(SANITIZE),-DOS_UNCONFINED)
override CFLAGS := $(HARDEN_CFLAGS) $(CFLAGS) -std=c11 $(WARNINGS) -pthread $(SANITIZE)
override LDFLAGS := $(HARDEN_LDFLAGS) $(LDFLAGS) -pthread $(SANITIZE)

TLS_SOURCES := $(if $(filter 0,$(TLS)),src/no_openssl,src/openssl)
OBJECTS := $(patsubst %.c,$(B)/%.o,$(notdir $(wildcard src/*.c src/posix/*.c $(TLS_SOURCES)/*.c)))
CORE := $(filter-out $(B)/cli%.o $(B)/cmd%.o $(B)/report.o,$(OBJECTS))
UNIT := $(patsubst tests/unit/%.c,$(B)/%,$(wildcard tests/unit/test_*.c))

ifneq ($(V),1)
Q := @
say = @printf '  %-4s %s\n' $(1) $@;
endif

all: $(B)/muxcat

$(B)/muxcat: $(OBJECTS)
	$(call say,LD) $(CC) $(LDFLAGS) -o $@ $^ -ldl

$(B)/%.o: src/%.c $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: src/posix/%.c $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: $(TLS_SOURCES)/%.c $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A change of compiler or flags rebuilds everything.
FLAGS := $(TLS_SOURCES) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(B)/flags: force
	$(Q)mkdir -p $(B)
	$(Q)echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

-include $(OBJECTS:.o=.d)

# ---- Windows, by mingw-w64 ----

MINGW ?= x86_64-w64-mingw32
W := $(B)/windows
WINDOWS_OBJECTS := $(patsubst %.c,$(W)/%.o,$(notdir $(wildcard src/*.c src/windows/*.c $(TLS_SOURCES)/*.c)))
WINDOWS_CPPFLAGS := -I$(W)/include -Isrc -Isrc/windows -D_GNU_SOURCE -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000007
WINDOWS_CFLAGS := -O2 -g -std=c11 $(WARNINGS)

windows: $(W)/muxcat.exe

# OpenSSL's headers, which are the same everywhere but for a word size that muxcat does not use.
$(W)/include/openssl/ssl.h:
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -M src/openssl/library.h | grep -o '/[^ ]*/openssl/[^ ]*\.h' | xargs cp -L -t $(@D)

# What the tests load into Wine, and run there.
$(W)/handles_only.so: tests/wine/handles_only.c $(B)/flags
	$(Q)mkdir -p $(W)
	$(call say,CC) $(CC) $(CFLAGS) -shared -fPIC -o $@ $<

$(W)/muxcat.exe: $(WINDOWS_OBJECTS) $(W)/resources.o
	$(call say,LD) $(MINGW)-gcc $(WINDOWS_HARDEN_LDFLAGS) -static -pthread -o $@ $^ -lws2_32 -liphlpapi

$(W)/%.o: src/%.c Makefile
	$(Q)mkdir -p $(W)
	$(call say,CC) $(MINGW)-gcc $(WINDOWS_CPPFLAGS) $(WINDOWS_CFLAGS) -MMD -MP -c -o $@ $<

$(W)/%.o: src/windows/%.c Makefile
	$(Q)mkdir -p $(W)
	$(call say,CC) $(MINGW)-gcc $(WINDOWS_CPPFLAGS) $(WINDOWS_CFLAGS) -MMD -MP -c -o $@ $<

$(W)/%.o: $(TLS_SOURCES)/%.c $(B)/flags Makefile | $(if $(filter 0,$(TLS)),,$(W)/include/openssl/ssl.h)
	$(call say,CC) $(MINGW)-gcc $(WINDOWS_CPPFLAGS) $(WINDOWS_CFLAGS) -MMD -MP -c -o $@ $<

$(W)/resources.o: src/windows/muxcat.rc src/windows/muxcat.manifest
	$(Q)mkdir -p $(W)
	$(call say,RES) $(MINGW)-windres -Isrc/windows -o $@ $<

-include $(WINDOWS_OBJECTS:.o=.d)

# ---- tests ----

$(B)/test_%: tests/unit/test_%.c tests/unit/each_loop.h $(CORE) $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(CORE) -lcmocka -ldl

$(B)/loads/%: bench/loads/%.c bench/loads/client.h $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(W)/give.exe: tests/wine/give.c Makefile
	$(Q)mkdir -p $(W)
	$(call say,CC) $(MINGW)-gcc $(WINDOWS_CPPFLAGS) $(WINDOWS_CFLAGS) -static -o $@ $<

windows-test-programs: $(W)/muxcat.exe $(B)/muxcat $(B)/one_byte.so $(W)/handles_only.so $(W)/give.exe $(B)/loads/round_trips

# What the tests load into muxcat.
TEST_LIBRARIES := $(patsubst tests/%.c,$(B)/%.so,$(wildcard tests/*.c))

$(B)/%.so: tests/%.c $(B)/flags
	$(call say,CC) $(CC) -std=c11 -O2 $(WARNINGS) -shared -fPIC -o $@ $< -ldl

$(B)/ref/%: bench/ref/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(if $(filter uv_%,$(@F)),-luv)

# All but the command line, what makes sockets, and what is told, over a system of tests/sim.
SIM_SOURCES := $(filter-out src/cli%.c src/socket.c src/report.c,$(wildcard src/*.c $(TLS_SOURCES)/*.c)) \
	src/posix/os_library.c $(wildcard src/windows/mux_iocp*.c tests/sim/*.c)
SIM_OBJECTS := $(patsubst %.c,$(B)/sim/%.o,$(notdir $(SIM_SOURCES)))
SIM_LINK := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free -Wl,--export-dynamic-symbol=time

$(B)/sim/%.o: src/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) -Itests/sim $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/%.o: src/posix/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) -Itests/sim $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/%.o: $(TLS_SOURCES)/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) -Itests/sim $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/%.o: src/windows/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) -Itests/sim $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/%.o: tests/sim/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) -Itests/sim $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/sim/sim: $(SIM_OBJECTS)
	$(call say,LD) $(CC) $(LDFLAGS) $(SIM_LINK) -o $@ $^ -pthread -ldl

-include $(SIM_OBJECTS:.o=.d)

# tests/fuzz/fuzz_NAME.c: with a main that replays what is kept in tests/fuzz/corpus/NAME or, by
# scripts/fuzz.sh, with libFuzzer's (FUZZER is the flag that brings it).
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN := $(if $(FUZZER),,$(B)/fuzz/replay.o)
FUZZ_CLI := $(B)/fuzz/cli.o $(B)/cli_check.o $(B)/cli_table.o $(B)/cli_value.o $(B)/report.o

$(B)/fuzz/%.o: tests/fuzz/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/fuzz_sim.o: CPPFLAGS := -Itests/sim $(CPPFLAGS)

# libFuzzer follows the program, not the models beside it, nor what a simulated one compares with chance.
ifneq ($(FUZZER),)
MODELS := $(FUZZ:=.o) $(patsubst tests/sim/%.c,$(B)/sim/%.o,$(wildcard tests/sim/*.c))
$(MODELS): CFLAGS += -fno-sanitize=fuzzer-no-link
$(filter-out $(MODELS),$(SIM_OBJECTS)): CFLAGS += -fno-sanitize-coverage=trace-cmp
endif

# The command line's main and what it calls that a fuzz target has to see.
$(B)/fuzz/cli.o: $(B)/cli.o
	$(Q)mkdir -p $(@D)
	$(call say,OBJ) objcopy --redefine-sym main=fuzz_main --redefine-sym os_exit=fuzz_exit \
		--redefine-sym calloc=fuzz_calloc --redefine-sym free=fuzz_free $< $@

$(B)/fuzz/fuzz_options: $(FUZZ_CLI)
$(B)/fuzz/fuzz_sim: $(B)/fuzz/fuzz_sim.o $(FUZZ_MAIN) $(filter-out $(B)/sim/sim_main.o,$(SIM_OBJECTS))
	$(call say,LD) $(CC) $(LDFLAGS) $(FUZZER) $(SIM_LINK) -o $@ $^ -ldl

$(B)/fuzz/fuzz_%: $(B)/fuzz/fuzz_%.o $(FUZZ_MAIN) $(CORE)
	$(call say,LD) $(CC) $(LDFLAGS) $(FUZZER) -o $@ $^ -ldl

.SECONDARY: $(FUZZ:=.o)
-include $(FUZZ:=.d) $(B)/fuzz/replay.d

bench-programs: $(B)/muxcat $(patsubst bench/%.c,$(B)/%,$(wildcard bench/ref/*.c bench/loads/*.c))

test-programs: $(B)/muxcat $(B)/loads/round_trips $(TEST_LIBRARIES) $(B)/sim/sim $(UNIT) $(FUZZ)
test-libraries: $(TEST_LIBRARIES)
fuzz-programs: $(FUZZ)

check: ; $(Q)scripts/deps.sh check && scripts/check.sh
check-long: ; $(Q)scripts/deps.sh check && LONG=7200 TESTS="tls no_memory injected memcheck" scripts/check.sh
check-no-tls: ; $(Q)scripts/deps.sh check && scripts/check.sh no-tls
check-windows: ; $(Q)scripts/deps.sh check && scripts/check.sh windows

asan: ; $(Q)scripts/deps.sh check && scripts/check.sh asan
tsan: ; $(Q)scripts/deps.sh check && scripts/check.sh tsan
bench: ; $(Q)scripts/deps.sh bench && $(MAKE) --no-print-directory bench-programs && BUILD=$(abspath $(B)) bench/bench.py
sim: $(B)/sim/sim ; $(Q)scripts/sim.sh $< $(SEED)
soak: $(B)/muxcat $(B)/live_heap.so
	$(Q)scripts/deps.sh check && MUXCAT_BUILD=$(abspath $(B)) MUXCAT=$(abspath $<) tests/soak/soak.py $(or $(SECONDS),240) 2500 $(SEED)
fuzz: ; $(Q)scripts/deps.sh check && scripts/fuzz.sh
fuzz-keep: ; $(Q)scripts/deps.sh check && scripts/fuzz.sh keep
lint: ; $(Q)scripts/deps.sh lint && scripts/lint.sh

quickstart: ; $(Q)scripts/deps.sh build && $(MAKE) --no-print-directory && scripts/quickstart.sh $(B)/muxcat

# ---- installing ----

COMPLETIONS := $(PREFIX)/share/bash-completion/completions

install: $(B)/muxcat
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(COMPLETIONS)
	install -m 755 $(B)/muxcat $(DESTDIR)$(PREFIX)/bin/muxcat
	install -m 644 man/muxcat.1 $(DESTDIR)$(PREFIX)/share/man/man1/muxcat.1
	install -m 644 completions/muxcat.bash $(DESTDIR)$(COMPLETIONS)/muxcat

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/muxcat $(DESTDIR)$(PREFIX)/share/man/man1/muxcat.1 \
		$(DESTDIR)$(COMPLETIONS)/muxcat

clean:
	rm -rf $(B)

.PHONY: all windows test-programs test-libraries fuzz-programs bench-programs windows-test-programs check check-long check-no-tls check-windows asan tsan sim soak fuzz fuzz-keep bench lint quickstart install uninstall clean force
.DELETE_ON_ERROR:
