/*
 * What the command line knows: the commands and the options, in one table each, from which getopt's
 * tables and the help are made.
 */
#ifndef MUXCAT_CLI_TABLE_H
#define MUXCAT_CLI_TABLE_H

#include "options.h"

/* Which commands have an option; those of ALL may stand before the command too. */
enum { LISTEN = 1, CONNECT = 2, ECHO = 4, FANOUT = 8, DATA = LISTEN | CONNECT, ALL = 15 };

struct cli_command {
	const char *name;
	unsigned bit;
	int (*run)(const struct options *options);
	const char *synopsis;
	const char *description;
};

/* Options without a letter. */
enum {
	BACKEND = 256,
	EDGE,
	QUIET,
	TO,
	FROM,
	PORT_FILE,
	MODE,
	SEND_ONLY,
	RECV_ONLY,
	NO_SHUTDOWN,
	EXIT_ON_EOF,
	DISCARD,
	THREADS,
	BROKER,
	CHAT,
	MIN_CLIENTS,
	QUEUE,
	SLOW,
	STALL,
	REPLAY,
	TLS,
	CERT,
	KEY,
	CA,
	INSECURE,
	SERVER_NAME,
	ALPN,
	TLS_MIN,
	CLIENT_CA,
	VERSION,
};

struct cli_option {
	const char *name; /* NULL: only the letter */
	int letter;       /* or one of the numbers above */
	unsigned commands;
	const char *value; /* NULL: takes none */
	const char *help;
};

enum { CLI_COMMANDS = 4, CLI_OPTIONS = 50 };
extern const struct cli_command cli_commands[CLI_COMMANDS];
extern const struct cli_option cli_options[CLI_OPTIONS];

/*
 * Print the help of `command`, or of muxcat if it is NULL; the version. False, with errno: stdout.
 */
bool cli_help(const struct cli_command *command);
bool cli_version(void);

#endif
