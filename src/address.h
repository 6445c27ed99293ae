/*
 * The ADDRESS grammar of the command line, and addresses as text.
 *
 *	PORT  HOST PORT  HOST:PORT  [V6]:PORT  :PORT         with tcp:, tls: or udp: in front, or not
 *	unix:PATH  unix:@NAME (Linux abstract)  unixgram:PATH  tls:unix:PATH
 */
#ifndef MUXCAT_ADDRESS_H
#define MUXCAT_ADDRESS_H

#include "os.h"

enum address_scheme {
	ADDRESS_TCP,
	ADDRESS_UDP,
	ADDRESS_UNIX,
	ADDRESS_UNIXGRAM,
};

struct address {
	enum address_scheme scheme;
	bool tls;       /* over that */
	bool numeric;   /* no look-ups */
	int family;     /* AF_UNSPEC, AF_INET or AF_INET6 */
	uint16_t port;  /* 0: any free one */
	char host[256]; /* "" is none */
	char path[108]; /* unix: a path, or @NAME */
};

/* What the options say of operands that carry no scheme. */
struct address_defaults {
	enum address_scheme scheme;
	bool forced; /* the scheme was asked for: another one in the text contradicts it */
	bool tls;    /* unless the text has a scheme */
	bool numeric;
	int family;
};

/*
 * Read one ADDRESS, or a HOST and a PORT. NULL when it is well-formed; otherwise why it is not, in
 * a few words that follow the text at fault (of a pair, *at_fault) and a colon. Service names are
 * looked up in services(5).
 */
const char *address_parse(
	struct address *address, const char *text, const struct address_defaults *defaults);
const char *address_parse_pair(struct address *address, const char *host, const char *port,
	const struct address_defaults *defaults, const char **at_fault);

bool address_is_local(const struct address *address);    /* Unix sockets */
bool address_is_datagram(const struct address *address); /* no connection, no end of file */
const char *address_scheme_name(enum address_scheme scheme);

/* A Unix socket's path as a socket address. */
void address_local(const struct address *address, struct os_address *out);

enum { ADDRESS_TEXT = 320 };

/*
 * As a user would write it: HOST:PORT, [V6]:PORT, a path, @NAME. `text` holds ADDRESS_TEXT bytes.
 */
const char *address_text(const struct address *address, char *text);

/* The same of a socket address; IPv4 in IPv6's clothes is shown as IPv4. */
const char *address_socket_text(const struct os_address *address, char *text);

bool address_equal(const struct os_address *a, const struct os_address *b);

/* Read a numeric IP address without a port: false if it is none. */
bool address_numeric(const char *text, struct os_address *out);

#endif
