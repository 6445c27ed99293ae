/* Lines behind their sender's name, however they are cut on the way. */
#include "chat.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static char got[100000];
static size_t got_length;

static void take(struct chat *chat, const char *text, size_t n, bool end)
{
	struct mux_buf *message;
	size_t length;

	assert_int_equal(
		chat_take(chat, 7, (const unsigned char *)text, n, end, &message, &length), 0);
	if (length) {
		assert_int_equal(message->data[length - 1], '\n');
		memcpy(got + got_length, message->data, length);
		got_length += length;
	}
	mux_buf_unref(message);
	got[got_length] = '\0';
}

static void lines_are_whole_whatever_the_pieces(void **state)
{
	static const char text[] = "one\n\nthree\nlast";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct chat chat = { 0 };

		got_length = 0;
		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t left = strlen(text) - at;

			take(&chat, text + at, left < piece ? left : piece, false);
		}
		assert_string_equal(got, "<user7> one\n<user7> \n<user7> three\n");
		take(&chat, NULL, 0, true);
		assert_string_equal(got, "<user7> one\n<user7> \n<user7> three\n<user7> last\n");
		chat_close(&chat);
	}
}

static void an_overlong_line_is_passed_on_in_pieces(void **state)
{
	struct chat chat = { 0 };
	char block[5000];
	size_t letters = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	got_length = 0;
	for (int i = 0; i < 10; i++)
		take(&chat, block, sizeof(block), false);
	assert_true(chat.length <= 9000);
	take(&chat, "\n", 1, false);
	for (size_t i = 0; i < got_length; i++)
		letters += got[i] == 'x';
	assert_int_equal(letters, 50000);
	chat_close(&chat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_whole_whatever_the_pieces),
		cmocka_unit_test(an_overlong_line_is_passed_on_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
