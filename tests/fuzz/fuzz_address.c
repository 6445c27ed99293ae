/*
 * The ADDRESS grammar. The first byte is what the options say, the rest one ADDRESS or, with a NUL between
 * them, a HOST and a PORT. What is accepted keeps its bounds and, written again, is read as the same; what
 * is refused has a reason in one line.
 */
#include "address.h"

#include "fuzz.h"

#include <ctype.h>
#include <string.h>

enum { REASON = 80 }; /* an address in quotes and why, in one line */

static struct address_defaults options_of(uint8_t byte)
{
	static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6, AF_UNSPEC };

	return (struct address_defaults){
		.scheme = (enum address_scheme)(byte & 3),
		.forced = byte & 4,
		.tls = byte & 8,
		.numeric = byte & 16,
		.family = families[byte >> 5 & 3],
	};
}

static void check_reason(const char *why)
{
	must(*why && strlen(why) < REASON, "no reason, or a long one: %s", why);
	for (const char *c = why; *c; c++)
		must(isprint((unsigned char)*c), "the reason is not one line of text: %s", why);
}

static void check_bounds(const struct address *a, const struct address_defaults *options)
{
	struct os_address numeric;

	must(memchr(a->host, '\0', sizeof(a->host)), "the host has no end");
	must(memchr(a->path, '\0', sizeof(a->path)), "the path has no end");
	must(!options->forced || a->scheme == options->scheme, "another scheme than the options'");
	must(a->numeric == options->numeric && a->family == options->family, "options are lost");
	must(!a->tls || !address_is_datagram(a) || options->tls, "TLS over datagrams");
	if (address_is_local(a)) {
		must(*a->path && strcmp(a->path, "@") != 0, "no path");
		must(!*a->host && !a->port, "a Unix socket with a host or a port");
		must(a->family == AF_UNSPEC, "a Unix socket of a family");
		return;
	}
	must(!*a->path, "a path, and no Unix socket");
	if (address_numeric(a->host, &numeric))
		must(!a->family || a->family == numeric.u.any.sa_family, "of another family");
	else
		must(!a->numeric || !*a->host, "a name to look up");
}

/* A number is that port. */
static void check_port(const struct address *a, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *port = colon ? colon + 1 : text;

	if (!address_is_local(a) && !port[strspn(port, "0123456789")])
		must(strtoul(port, NULL, 10) == a->port, "port %u", a->port);
}

static void must_be_same(const struct address *a, const struct address *b, const char *text)
{
	must(a->scheme == b->scheme && a->tls == b->tls && a->port == b->port &&
			strcmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0,
		"read as another: %s", text);
}

/* As text, behind its scheme, and read again. */
static void check_written(const struct address *a)
{
	struct address_defaults options = { a->scheme, true, a->tls, a->numeric, a->family };
	char text[ADDRESS_TEXT];
	char written[ADDRESS_TEXT + 16];
	struct address again;
	const char *wrong;

	address_text(a, text);
	snprintf(written, sizeof(written), "%s%s%s",
		address_is_local(a) ? "" : address_scheme_name(a->scheme),
		address_is_local(a) ? "" : ":", text);
	wrong = address_parse(&again, written, &options);
	must(!wrong, "'%s': %s", written, wrong);
	must_be_same(a, &again, written);
}

/* As a socket's address, which is shown as it was written. */
static void check_socket(const struct address *a)
{
	struct address_defaults options = { .scheme = a->scheme, .forced = true, .numeric = true };
	struct os_address socket;
	struct os_address back;
	struct address again;
	char text[ADDRESS_TEXT];

	if (address_is_local(a)) {
		address_local(a, &socket);
		must(strcmp(address_socket_text(&socket, text), a->path) == 0, "shown as %s", text);
		return;
	}
	if (!*a->host || !address_numeric(a->host, &socket))
		return;
	socket.u.v4.sin_port = htons(a->port); /* which lies at the same place for IPv6 */
	address_socket_text(&socket, text);
	must(!address_parse(&again, text, &options), "%s: is not read again", text);
	must(again.port == a->port && address_numeric(again.host, &back), "shown as %s", text);
	back.u.v4.sin_port = socket.u.v4.sin_port;
	if (socket.u.any.sa_family == AF_INET6 &&
		(socket.u.v6.sin6_scope_id || IN6_IS_ADDR_V4MAPPED(&socket.u.v6.sin6_addr)))
		return; /* shown without its interface, or as IPv4 */
	must(address_equal(&socket, &back), "shown as %s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_defaults options = options_of(size ? data[0] : 0);
	char *words = strndup(size ? (const char *)data + 1 : "", size ? size - 1 : 0);
	size_t first = strlen(words);
	char *port = NULL;
	struct address address;
	const char *wrong;

	if (size > first + 2)
		port = strndup((const char *)data + first + 2, size - first - 2);
	if (port) {
		const char *at_fault = NULL;

		wrong = address_parse_pair(&address, words, port, &options, &at_fault);
		must(!wrong || at_fault == words || at_fault == port, "at fault is no word");
	} else {
		wrong = address_parse(&address, words, &options);
	}
	if (wrong) {
		check_reason(wrong);
	} else {
		check_bounds(&address, &options);
		check_port(&address, port ? port : words);
		check_written(&address);
		check_socket(&address);
	}
	free(words);
	free(port);
	return 0;
}
