/*
 * fanout --chat: what a user sends, in pieces as the input says, becomes whole lines behind its name. Nothing
 * is lost or added but the ends of lines that were too long, or that the user did not end.
 */
#include "chat.h"

#include "fuzz.h"

#include <string.h>

enum { SENT = 64 * 1024, LONG_LINE = 8 * 1024 };

static unsigned char sent[SENT];
static size_t sent_length;
static size_t passed_on;

/* One line without its end, behind the name; `last`: the user has gone. */
static void check_line(const unsigned char *line, size_t length, bool last)
{
	must(length <= sent_length - passed_on, "more than was sent");
	must(memcmp(line, sent + passed_on, length) == 0, "wrong bytes");
	passed_on += length;
	if (passed_on < sent_length && sent[passed_on] == '\n') {
		passed_on++;
		return;
	}
	must(length > LONG_LINE - 100 || last, "a line of %zu bytes is cut", length);
	must(passed_on == sent_length, "a line is cut before its end");
}

static void check_lines(const unsigned char *message, size_t length, const char *name, bool last)
{
	while (length) {
		const unsigned char *end = memchr(message, '\n', length);
		size_t line = end ? (size_t)(end - message) : 0;

		must(end, "half a line");
		must(line >= strlen(name) && memcmp(message, name, strlen(name)) == 0, "no name");
		check_line(message + strlen(name), line - strlen(name), last);
		length -= line + 1;
		message = end + 1;
	}
}

static void take(struct chat *chat, uint64_t user, size_t n, bool last)
{
	const unsigned char *data = sent + sent_length;
	struct mux_buf *message;
	size_t length;
	char name[32];

	snprintf(name, sizeof(name), "<user%llu> ", (unsigned long long)user);
	sent_length += n;
	must(!chat_take(chat, user, n ? data : NULL, n, last, &message, &length), "out of memory");
	must(!message == !length, "a message of %zu bytes", length);
	if (message)
		check_lines(message->data, length, name, last);
	mux_buf_unref(message);
	must(sent_length - passed_on <= LONG_LINE, "%zu bytes are held back",
		sent_length - passed_on);
	must(!memchr(sent + passed_on, '\n', sent_length - passed_on), "a line is held back");
}

/* A byte below 128: so many of the input's as they are; from 128 on: the next one, 64 to 8192 times. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	uint64_t user = UINT64_MAX >> fuzz_byte(&input) % 64;
	struct chat chat = { 0 };

	sent_length = passed_on = 0;
	while (input.left) {
		uint8_t how = fuzz_byte(&input);
		size_t n = how < 128 ? how : (size_t)(how - 127) * 64;
		unsigned char *to = sent + sent_length;

		if (n > SENT - sent_length)
			break;
		if (how < 128 && n > input.left)
			n = input.left;
		if (how >= 128)
			memset(to, fuzz_byte(&input), n);
		for (size_t i = 0; how < 128 && i < n; i++)
			to[i] = fuzz_byte(&input);
		take(&chat, user, n, false);
	}
	take(&chat, user, 0, true);
	must(passed_on == sent_length, "%zu bytes are lost", sent_length - passed_on);
	chat_close(&chat);
	return 0;
}
