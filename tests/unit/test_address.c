/* The ADDRESS grammar. */
#include "address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <string.h>

static const struct address_defaults tcp = { .scheme = ADDRESS_TCP };

static const struct {
	const char *text;
	enum address_scheme scheme;
	const char *host;
	const char *path;
	unsigned port;
} good[] = {
	{ "80", ADDRESS_TCP, "", "", 80 },
	{ ":80", ADDRESS_TCP, "", "", 80 },
	{ "0", ADDRESS_TCP, "", "", 0 },
	{ "65535", ADDRESS_TCP, "", "", 65535 },
	{ "example.org:80", ADDRESS_TCP, "example.org", "", 80 },
	{ "127.0.0.1:http", ADDRESS_TCP, "127.0.0.1", "", 80 },
	{ "[::1]:80", ADDRESS_TCP, "::1", "", 80 },
	{ "[fe80::1%lo]:80", ADDRESS_TCP, "fe80::1%lo", "", 80 },
	{ "tcp:[::1]:80", ADDRESS_TCP, "::1", "", 80 },
	{ "udp:localhost:53", ADDRESS_UDP, "localhost", "", 53 },
	{ "udp:domain", ADDRESS_UDP, "", "", 53 },
	{ "unix:/tmp/a:b", ADDRESS_UNIX, "", "/tmp/a:b", 0 },
	{ "unix:@name", ADDRESS_UNIX, "", "@name", 0 },
	{ "unixgram:x", ADDRESS_UNIXGRAM, "", "x", 0 },
};

static void what_is_well_formed_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct address address;

		assert_null(address_parse(&address, good[i].text, &tcp));
		assert_int_equal(address.scheme, good[i].scheme);
		assert_string_equal(address.host, good[i].host);
		assert_string_equal(address.path, good[i].path);
		assert_int_equal(address.port, good[i].port);
	}
}

static const char *const bad[] = {
	"",
	":",
	"host:",
	"70000",
	"host:65536",
	"99999999999999999999",
	"[::1",
	"[::1]",
	"[::1]80",
	"::1",
	"fe80::1:80",
	"host:nosuchservice",
	"-1",
	"80 ",
	"unix:",
	"unix:@",
	"unixgram:",
	"tls:",
	"tls:udp:host:80",
	"tls:unixgram:path",
	"tls:tls:host:80",
	"sctp:host:80",
	"[]:80",
	"*:80",
	"//host:80",
	"unix:"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	"aaaaaaaaaaaaaaaaaaaaa",
};

static void what_is_not_is_refused_with_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct address address;
		const char *why = address_parse(&address, bad[i], &tcp);

		if (!why)
			fail_msg("accepted: '%s'", bad[i]);
		assert_true(strlen(why) > 0);
	}
}

static void options_and_text_that_contradict_are_refused(void **state)
{
	struct address_defaults udp = { .scheme = ADDRESS_UDP, .forced = true };
	struct address_defaults v6 = { .family = AF_INET6 };
	struct address_defaults numeric = { .numeric = true };
	struct address address;

	(void)state;
	assert_non_null(address_parse(&address, "tcp:host:80", &udp));
	assert_null(address_parse(&address, "udp:host:80", &udp));
	assert_non_null(address_parse(&address, "127.0.0.1:80", &v6));
	assert_non_null(address_parse(&address, "unix:/x", &v6));
	assert_null(address_parse(&address, "[::1]:80", &v6));
	assert_non_null(address_parse(&address, "localhost:80", &numeric));
	assert_non_null(address_parse(&address, "127.0.0.1:http", &numeric));
	assert_null(address_parse(&address, "127.0.0.1:80", &numeric));
}

static void a_host_and_a_port_are_two_words(void **state)
{
	struct address address;
	const char *word;

	(void)state;
	assert_null(address_parse_pair(&address, "::1", "80", &tcp, &word));
	assert_string_equal(address.host, "::1");
	assert_null(address_parse_pair(&address, "[::1]", "80", &tcp, &word));
	assert_string_equal(address.host, "::1");
	assert_null(address_parse_pair(&address, "udp:localhost", "80", &tcp, &word));
	assert_int_equal(address.scheme, ADDRESS_UDP);
	assert_non_null(address_parse_pair(&address, "[::1", "80", &tcp, &word));
	assert_string_equal(word, "[::1");
	assert_non_null(address_parse_pair(&address, "host:80", "90", &tcp, &word));
	assert_string_equal(word, "host:80");
	assert_non_null(address_parse_pair(&address, "", "80", &tcp, &word));
	assert_non_null(address_parse_pair(&address, "host", "", &tcp, &word));
	assert_string_equal(word, "");
	assert_non_null(address_parse_pair(&address, "unix:/x", "80", &tcp, &word));
	assert_string_equal(word, "80");
}

static void addresses_are_shown_as_they_are_written(void **state)
{
	struct os_address v4, mapped, local = { 0 };
	char text[ADDRESS_TEXT];

	(void)state;
	assert_true(address_numeric("192.0.2.1", &v4));
	v4.u.v4.sin_port = htons(80);
	assert_string_equal(address_socket_text(&v4, text), "192.0.2.1:80");
	assert_true(address_numeric("::ffff:192.0.2.1", &mapped));
	assert_string_equal(address_socket_text(&mapped, text), "192.0.2.1:0");
	assert_true(address_numeric("::1", &mapped));
	assert_string_equal(address_socket_text(&mapped, text), "[::1]:0");
	assert_false(address_numeric("localhost", &v4));
	assert_string_equal(address_socket_text(&local, text), "(unnamed)");

	struct address abstract;

	assert_null(address_parse(&abstract, "unix:@name", &tcp));
	address_local(&abstract, &local);
	assert_string_equal(address_socket_text(&local, text), "@name");
	assert_string_equal(address_text(&abstract, text), "unix:@name");
}

static void equal_means_the_same_peer(void **state)
{
	struct os_address a, b;

	(void)state;
	assert_true(address_numeric("::1", &a));
	assert_true(address_numeric("::1", &b));
	assert_true(address_equal(&a, &b));
	b.u.v6.sin6_flowinfo = 1; /* not a part of who it is */
	assert_true(address_equal(&a, &b));
	b.u.v6.sin6_port = 1;
	assert_false(address_equal(&a, &b));
	assert_true(address_numeric("127.0.0.1", &b));
	assert_false(address_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_well_formed_is_read),
		cmocka_unit_test(what_is_not_is_refused_with_a_reason),
		cmocka_unit_test(options_and_text_that_contradict_are_refused),
		cmocka_unit_test(a_host_and_a_port_are_two_words),
		cmocka_unit_test(addresses_are_shown_as_they_are_written),
		cmocka_unit_test(equal_means_the_same_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
