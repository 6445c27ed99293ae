/* What the command line has said so far, and what contradicts itself in it. */
#ifndef MUXCAT_CLI_CHECK_H
#define MUXCAT_CLI_CHECK_H

#include "cli_table.h"

/* What can only be judged once everything is read. */
struct reading {
	struct options *options;
	const struct cli_command *command; /* NULL before the command's name */
	bool udp;
	bool local;
	int family;
	bool numeric;
	const char *source;
	const char *from;
	const char **to;
	const char *tls_option; /* one that only TLS understands, or NULL */
	bool tls;
	bool min_clients_given;
};

/* Say what is wrong in one line, and end with exit status 2. */
_Noreturn void cli_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Everything has been read: see if it goes together, and fill in what follows from it. Ends the program
 * by cli_usage_error if it does not.
 */
void cli_check(struct reading *reading);

#endif
