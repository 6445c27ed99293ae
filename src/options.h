/* What the command line said. cli.c fills it in; the commands only read it. */
#ifndef MUXCAT_OPTIONS_H
#define MUXCAT_OPTIONS_H

#include "address.h"
#include "hub.h"
#include "socket.h"
#include "tls.h"

enum { OPTION_LINGER_UNSET = -2 };

struct options {
	const char *backend;
	bool edge;
	int verbose; /* 0, 1 or more; -1 is --quiet */

	struct address address; /* the operand; unused by fanout with --to */
	struct address *to;     /* --to, any number */
	size_t to_count;
	struct address from; /* fanout --from */
	bool has_from;
	struct socket_options socket;
	struct tls_options tls;
	bool dials_tls; /* an address to connect to asks for it */
	bool serves_tls;

	uint64_t idle_timeout; /* milliseconds; 0 none */
	uint64_t timeout;      /* -w, milliseconds; 0 none */
	size_t max_conns;      /* 0: any number */
	bool keep_open;
	const char *port_file;
	bool zero; /* -z */

	bool no_stdin;
	bool send_only;
	bool recv_only;
	bool no_shutdown;
	bool exit_on_eof;
	int64_t linger; /* -q, milliseconds; -1 for ever, OPTION_LINGER_UNSET */

	bool discard;
	unsigned threads; /* of echo, that serve at the same time */

	bool broker;
	bool chat;
	size_t min_clients;
	struct hub_policy hub;
};

#endif
