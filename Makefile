# muxcat: make, make quickstart, make check, make install; see README.md.
#   CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR as usual; V=1 shows the commands; B is the build folder.

CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
DESTDIR ?=
B ?= build

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
override CPPFLAGS += -D_GNU_SOURCE -Isrc
override CFLAGS += -std=c11 $(WARNINGS) -pthread $(SANITIZE)
override LDFLAGS += -pthread $(SANITIZE)

SOURCES := $(wildcard src/*.c)
OBJECTS := $(SOURCES:src/%.c=$(B)/%.o)
CORE := $(filter-out $(B)/cli%.o $(B)/cmd%.o $(B)/report.o,$(OBJECTS))
UNIT := $(patsubst tests/unit/%.c,$(B)/%,$(wildcard tests/unit/test_*.c))

ifneq ($(V),1)
Q := @
say = @printf '  %-4s %s\n' $(1) $@;
endif

all: $(B)/muxcat

$(B)/muxcat: $(OBJECTS)
	$(call say,LD) $(CC) $(LDFLAGS) -o $@ $^

$(B)/%.o: src/%.c $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A change of compiler or flags rebuilds everything.
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
$(B)/flags: force
	$(Q)mkdir -p $(B)
	$(Q)echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

-include $(OBJECTS:.o=.d)

# ---- tests ----

$(B)/test_%: tests/unit/test_%.c $(CORE) $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(CORE) -lcmocka

$(B)/load: tests/load.c $(B)/flags
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

test-programs: $(B)/muxcat $(B)/load $(UNIT)

check: ; $(Q)scripts/deps.sh check && scripts/check.sh

asan: ; $(Q)scripts/deps.sh check && scripts/check.sh asan
tsan: ; $(Q)scripts/deps.sh check && scripts/check.sh tsan
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

.PHONY: all test-programs check asan tsan lint quickstart install uninstall clean force
.DELETE_ON_ERROR:
