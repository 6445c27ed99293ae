#include "cli_table.h"

#include "cmd.h"
#include "tls.h"

#include <stdio.h>

#define MUXCAT_VERSION "0.1.0"

const struct cli_command cli_commands[CLI_COMMANDS] = {
	{ "listen", LISTEN, cmd_listen, "listen [OPTION]... [HOST] PORT | ADDRESS",
		"Accept a connection and join it with stdin and stdout." },
	{ "connect", CONNECT, cmd_connect, "connect [OPTION]... HOST PORT | ADDRESS",
		"Dial, and join the connection with stdin and stdout." },
	{ "echo", ECHO, cmd_echo, "echo [OPTION]... [HOST] PORT | ADDRESS",
		"Serve: send every byte back to its sender." },
	{ "fanout", FANOUT, cmd_fanout,
		"fanout [OPTION]... [HOST] PORT | ADDRESS | --to ADDRESS...",
		"Serve: send one input to every subscriber." },
};

const struct cli_option cli_options[CLI_OPTIONS] = {
	{ "keep-open", 'k', LISTEN, NULL, "serve many clients at the same time" },
	{ "max-conns", 'm', LISTEN | ECHO | FANOUT, "N", "serve at most N at the same time" },
	{ "timeout", 'w', LISTEN | ECHO, "SECS", "give up if nobody has come after SECS" },
	{ "timeout", 'w', CONNECT, "SECS", "give up connecting after SECS, look-up included" },
	{ "to", TO, LISTEN, "ADDRESS", "dial ADDRESS for each connection and relay" },
	{ "port-file", PORT_FILE, LISTEN | ECHO | FANOUT, "FILE",
		"write the port to FILE once listening" },
	{ "mode", MODE, LISTEN | ECHO | FANOUT, "OCTAL", "permissions of the Unix socket's file" },
	{ "zero", 'z', CONNECT, NULL, "only connect: exit 0 if it was accepted" },
	{ "source", 's', CONNECT, "ADDR", "connect from the IP address ADDR" },
	{ "source-port", 'p', CONNECT, "PORT", "connect from PORT" },
	{ "no-stdin", 'd', DATA, NULL, "do not read stdin, nor send an end" },
	{ "send-only", SEND_ONLY, DATA, NULL, "ignore what is received; done at stdin's end" },
	{ "recv-only", RECV_ONLY, DATA, NULL, "send nothing" },
	{ "no-shutdown", NO_SHUTDOWN, DATA, NULL, "do not half-close at stdin's end" },
	{ "exit-on-eof", EXIT_ON_EOF, DATA, NULL, "done as soon as the peer ends" },
	{ "linger", 'q', DATA, "SECS", "done SECS after stdin's end (-1: never)" },
	{ NULL, 'N', DATA, NULL, "accepted for nc's sake: half-closing is the default" },
	{ "discard", DISCARD, ECHO, NULL, "read and drop instead of sending back" },
	{ "threads", THREADS, ECHO, "N", "serve with N threads, a loop each (1)" },
	{ "to", TO, FANOUT, "ADDRESS", "dial the subscriber ADDRESS (repeatable)" },
	{ "from", FROM, FANOUT, "ADDRESS", "the input is dialled, instead of stdin" },
	{ "broker", BROKER, FANOUT, NULL, "what a subscriber sends goes to all others" },
	{ "chat", CHAT, FANOUT, NULL, "the same by lines, each after <userN>" },
	{ "min-clients", MIN_CLIENTS, FANOUT, "N", "hold the input back until N are there (1)" },
	{ "queue", QUEUE, FANOUT, "SIZE", "how far a subscriber may lag (1M)" },
	{ "slow", SLOW, FANOUT, "wait|drop|close", "what to do with one that lags more (wait)" },
	{ "stall", STALL, FANOUT, "SECS", "cut off one that takes nothing for SECS (10)" },
	{ "replay", REPLAY, FANOUT, "SIZE", "give late subscribers the last SIZE bytes" },
	{ "backend", BACKEND, ALL, "NAME", "the event mechanism (--version names them)" },
	{ "edge", EDGE, ALL, NULL, "edge-triggered readiness (epoll)" },
	{ "ipv4", '4', ALL, NULL, "IPv4 only" },
	{ "ipv6", '6', ALL, NULL, "IPv6 only" },
	{ "numeric", 'n', ALL, NULL, "look up no names" },
	{ "udp", 'u', ALL, NULL, "UDP instead of TCP" },
	{ "unix", 'U', ALL, NULL, "a Unix socket; with -u, its datagrams" },
	{ "tls", TLS, ALL, NULL, "TLS over TCP or, with -U, over a Unix stream" },
	{ "cert", CERT, ALL, "FILE", "our certificate and its chain (PEM)" },
	{ "key", KEY, ALL, "FILE", "its key, unless that is in the same file" },
	{ "ca", CA, LISTEN | CONNECT | FANOUT, "FILE|DIR", "trust these, not the system's" },
	{ "insecure", INSECURE, LISTEN | CONNECT | FANOUT, NULL, "do not check who the server is" },
	{ "server-name", SERVER_NAME, LISTEN | CONNECT | FANOUT, "NAME",
		"the name to check, instead of the host's" },
	{ "client-ca", CLIENT_CA, LISTEN | ECHO | FANOUT, "FILE",
		"demand a client certificate by one of these" },
	{ "alpn", ALPN, ALL, "NAMES", "protocols to agree on, by preference: h2,http/1.1" },
	{ "tls-min", TLS_MIN, ALL, "VERSION", "1.2 or 1.3 at least (1.2)" },
	{ "idle-timeout", 'i', ALL, "SECS", "close a connection on which nothing moves for SECS" },
	{ "recv-buffer", 'I', ALL, "SIZE", "SO_RCVBUF (sizes take k, M, G)" },
	{ "send-buffer", 'O', ALL, "SIZE", "SO_SNDBUF" },
	{ "verbose", 'v', ALL, NULL, "tell of connections on stderr (repeatable)" },
	{ "quiet", QUIET, ALL, NULL, "only tell why the program failed" },
	{ "help", 'h', ALL, NULL, "show this help" },
};

static bool is_written(void)
{
	return fflush(stdout) == 0 && !ferror(stdout);
}

static void print_row(const struct cli_option *row)
{
	char left[64];
	int length = 0;

	if (row->letter < BACKEND)
		length =
			snprintf(left, sizeof(left), "  -%c%s", row->letter, row->name ? ", " : "");
	else
		length = snprintf(left, sizeof(left), "      ");
	if (row->name)
		length += snprintf(left + length, sizeof(left) - (size_t)length, "--%s%s%s",
			row->name, row->value ? "=" : "", row->value ? row->value : "");
	printf("%-28s %s%s\n", left, length > 28 ? "\n                             " : "",
		row->help);
}

static void print_command_help(const struct cli_command *command)
{
	printf("Usage: muxcat %s\n%s\n\n", command->synopsis, command->description);
	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if ((cli_options[i].commands & command->bit) && cli_options[i].commands != ALL)
			print_row(&cli_options[i]);
	printf("\nOf every command:\n");
	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].commands == ALL)
			print_row(&cli_options[i]);
	printf("\nADDRESS: [tcp:|tls:|udp:]HOST:PORT, [V6]:PORT, PORT,\n"
	       "         [tls:]unix:PATH, [tls:]unix:@NAME, unixgram:PATH\n");
}

static void print_help(void)
{
	printf("Usage: muxcat COMMAND [OPTION]... ADDRESS\n"
	       "Sockets on the command line: one multiplexing core, four commands.\n\n");
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		printf("  muxcat %s\n        %s\n", cli_commands[i].synopsis,
			cli_commands[i].description);
	printf("\n  muxcat COMMAND --help    the options of a command\n"
	       "  muxcat --version         the version, the backends and the TLS library\n");
}

static void print_backends(const char *before)
{
	fputs(before, stdout);
	for (const char *const *name = mux_backends(); *name; name++)
		printf(" %s%s", *name, mux_backend_has_edge(*name) ? " (--edge)" : "");
	putchar('\n');
}

bool cli_version(void)
{
	printf("muxcat " MUXCAT_VERSION "\n");
	print_backends("backends:");
	printf("TLS: %s\n", tls_library());
	return is_written();
}

bool cli_help(const struct cli_command *command)
{
	if (command)
		print_command_help(command);
	else
		print_help();
	return is_written();
}
