#include "address.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const scheme_names[] = {
	[ADDRESS_TCP] = "tcp",
	[ADDRESS_UDP] = "udp",
	[ADDRESS_UNIX] = "unix",
	[ADDRESS_UNIXGRAM] = "unixgram",
};

const char *address_scheme_name(enum address_scheme scheme)
{
	return scheme_names[scheme];
}

bool address_is_local(const struct address *address)
{
	return address->scheme == ADDRESS_UNIX || address->scheme == ADDRESS_UNIXGRAM;
}

bool address_is_datagram(const struct address *address)
{
	return address->scheme == ADDRESS_UDP || address->scheme == ADDRESS_UNIXGRAM;
}

static const char *parse_port(struct address *address, const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (!*text)
		return "the port is missing";
	if (!text[digits]) {
		unsigned long port = digits <= 5 ? strtoul(text, NULL, 10) : 65536;

		if (port > 65535)
			return "a port is between 0 and 65535";
		address->port = (uint16_t)port;
		return NULL;
	}
	if (address->numeric)
		return "-n forbids looking up a service name";

	struct servent *service = getservbyname(text, scheme_names[address->scheme]);

	if (!service)
		return "neither a port nor a known service";
	address->port = ntohs((uint16_t)service->s_port);
	return NULL;
}

static const char *set_host(struct address *address, const char *host, size_t length)
{
	struct os_address numeric;

	if (length >= sizeof(address->host))
		return "the host name is too long";
	memcpy(address->host, host, length);
	address->host[length] = '\0';
	for (const unsigned char *c = (const unsigned char *)address->host; *c; c++)
		if (*c < 0x80 && !isalnum(*c) && !strchr("-._:%", *c))
			return "this is no host name";
	if (strchr(address->host, ':') && !address_numeric(address->host, &numeric))
		return "neither a host name nor an IPv6 address";
	return NULL;
}

static const char *parse_path(struct address *address, const char *path)
{
	/* sun_path ends with a NUL, an abstract name begins with one (unix(7)) */
	if (!*path || strcmp(path, "@") == 0)
		return "the path of the Unix socket is missing";
	if (strlen(path) >= sizeof(address->path))
		return "too long for a Unix socket (107 bytes at most)";
	strcpy(address->path, path);
	return NULL;
}

static const char *parse_host_port(struct address *address, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *wrong;

	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end)
			return "the closing bracket is missing";
		if (end[1] != ':')
			return "the port is missing (write [HOST]:PORT)";
		if (end == text + 1)
			return "the host between the brackets is missing";
		wrong = set_host(address, text + 1, (size_t)(end - text - 1));
		return wrong ? wrong : parse_port(address, end + 2);
	}
	if (!colon)
		return parse_port(address, text);
	if (strchr(text, ':') != colon)
		return "write HOST:PORT, or [ADDRESS]:PORT for IPv6";
	wrong = set_host(address, text, (size_t)(colon - text));
	return wrong ? wrong : parse_port(address, colon + 1);
}

/* Takes the scheme, if there is one, off the front of *text. */
static const char *parse_scheme(
	struct address *address, const char **text, const struct address_defaults *defaults)
{
	bool tls = strncmp(*text, "tls:", 4) == 0;

	address->scheme = defaults->scheme;
	address->tls = tls || defaults->tls;
	if (tls)
		*text += 4;
	for (int i = 0; i < (int)(sizeof(scheme_names) / sizeof(scheme_names[0])); i++) {
		size_t length = strlen(scheme_names[i]);

		if (strncmp(*text, scheme_names[i], length) != 0 || (*text)[length] != ':')
			continue;
		if (defaults->forced && defaults->scheme != (enum address_scheme)i)
			return "the scheme contradicts -u or -U";
		address->scheme = (enum address_scheme)i;
		address->tls = tls || (defaults->forced && defaults->tls);
		*text += length + 1;
		break;
	}
	if (tls && address_is_datagram(address))
		return "TLS is for streams";
	return NULL;
}

static const char *check_family(const struct address *address)
{
	struct os_address numeric;

	if (address_is_local(address))
		return address->family == AF_UNSPEC ? NULL : "a Unix socket contradicts -4 and -6";
	if (address_numeric(address->host, &numeric)) {
		if (address->family != AF_UNSPEC && address->family != numeric.u.any.sa_family)
			return "the address contradicts -4 or -6";
	} else if (address->numeric && *address->host) {
		return "-n forbids looking up a host name";
	}
	return NULL;
}

static void start(struct address *address, const struct address_defaults *defaults)
{
	memset(address, 0, sizeof(*address));
	address->numeric = defaults->numeric;
	address->family = defaults->family;
}

const char *address_parse(
	struct address *address, const char *text, const struct address_defaults *defaults)
{
	const char *wrong;

	start(address, defaults);
	wrong = parse_scheme(address, &text, defaults);
	if (wrong)
		return wrong;
	if (address_is_local(address))
		wrong = parse_path(address, text);
	else
		wrong = parse_host_port(address, text);
	return wrong ? wrong : check_family(address);
}

const char *address_parse_pair(struct address *address, const char *host, const char *port,
	const struct address_defaults *defaults, const char **at_fault)
{
	const char *wrong;
	size_t length;

	start(address, defaults);
	*at_fault = host;
	wrong = parse_scheme(address, &host, defaults);
	if (wrong)
		return wrong;
	if (address_is_local(address)) {
		*at_fault = port;
		return "a Unix socket has a path and no port";
	}
	length = strlen(host);
	if (!length)
		return "the host is missing";
	if (*host == '[' && host[length - 1] == ']' && length > 2)
		wrong = set_host(address, host + 1, length - 2);
	else
		wrong = set_host(address, host, length);
	if (!wrong)
		wrong = check_family(address);
	if (wrong)
		return wrong;
	*at_fault = port;
	return parse_port(address, port);
}

void address_local(const struct address *address, struct os_address *out)
{
	size_t length = strlen(address->path);

	memset(out, 0, sizeof(*out));
	out->u.local.sun_family = AF_UNIX;
	memcpy(out->u.local.sun_path, address->path, length);
	out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	/* an abstract name is not ended by a NUL, it begins with one */
	if (*address->path == '@') {
		out->u.local.sun_path[0] = '\0';
		out->length--;
	}
}

const char *address_text(const struct address *address, char *text)
{
	if (address_is_local(address))
		snprintf(text, ADDRESS_TEXT, "%s:%s", scheme_names[address->scheme], address->path);
	else if (strchr(address->host, ':'))
		snprintf(text, ADDRESS_TEXT, "[%s]:%u", address->host, address->port);
	else
		snprintf(text, ADDRESS_TEXT, "%s:%u", address->host, address->port);
	return text;
}

static const char *local_text(const struct os_address *address, char *text)
{
	const struct sockaddr_un *local = &address->u.local;
	size_t length = address->length - offsetof(struct sockaddr_un, sun_path);

	if ((size_t)address->length <= offsetof(struct sockaddr_un, sun_path))
		snprintf(text, ADDRESS_TEXT, "(unnamed)");
	else if (local->sun_path[0] == '\0')
		snprintf(text, ADDRESS_TEXT, "@%.*s", (int)length - 1, local->sun_path + 1);
	else
		snprintf(text, ADDRESS_TEXT, "%.*s", (int)length, local->sun_path);
	return text;
}

const char *address_socket_text(const struct os_address *address, char *text)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in6 *v6 = &address->u.v6;

	if (address->length == 0 || address->u.any.sa_family == AF_UNIX)
		return local_text(address, text);
	if (address->u.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->u.v4.sin_addr, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(address->u.v4.sin_port));
	} else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(v6->sin6_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
	}
	return text;
}

bool address_equal(const struct os_address *a, const struct os_address *b)
{
	if (a->length != b->length)
		return false;
	if (a->length == 0)
		return true; /* datagrams from Unix sockets without a name */
	if (a->u.any.sa_family != b->u.any.sa_family)
		return false;
	switch (a->u.any.sa_family) {
	case AF_INET:
		return a->u.v4.sin_port == b->u.v4.sin_port &&
		       a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
	case AF_INET6:
		return a->u.v6.sin6_port == b->u.v6.sin6_port &&
		       a->u.v6.sin6_scope_id == b->u.v6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr);
	default:
		return memcmp(&a->u, &b->u, a->length) == 0;
	}
}

bool address_numeric(const char *text, struct os_address *out)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;

	if (getaddrinfo(text, NULL, &hints, &found) != 0)
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(&out->u, found->ai_addr, found->ai_addrlen);
	out->length = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}
