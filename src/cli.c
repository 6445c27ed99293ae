/*
 * main: the command line read into struct options, and the command called. The only file that sees
 * argv. Whatever is wrong with the command line is said in one line, naming the word at fault, and
 * ends with exit status 2 before anything is opened.
 */
#include "cli_check.h"
#include "cli_value.h"
#include "cmd.h"
#include "resolve.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- complaints ---- */

void cli_usage_error(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	report_error("%s", line);
	os_exit(CMD_USAGE);
}

static _Noreturn void out_of_memory(void)
{
	report_error("out of memory");
	os_exit(CMD_ERROR);
}

/* Help that could not be written is no help. */
_Noreturn static void finish_output(bool written)
{
	if (written)
		os_exit(CMD_DONE);
	report_error("stdout: %s", strerror(errno));
	os_exit(CMD_ERROR);
}

/* ---- options ---- */

static void set_family(struct reading *reading, int family)
{
	if (reading->family != AF_UNSPEC && reading->family != family)
		cli_usage_error("-4 contradicts -6");
	reading->family = family;
}

static void set_common(struct reading *reading, int letter, const char *value)
{
	struct options *options = reading->options;

	switch (letter) {
	case BACKEND:
		options->backend = cli_backend(value);
		break;
	case EDGE:
		options->edge = true;
		break;
	case '4':
		set_family(reading, AF_INET);
		break;
	case '6':
		set_family(reading, AF_INET6);
		break;
	case 'n':
		reading->numeric = true;
		break;
	case 'u':
		reading->udp = true;
		break;
	case 'U':
		reading->local = true;
		break;
	case 'i':
		options->idle_timeout = cli_seconds(value, "-i");
		break;
	case 'I':
		options->socket.recv_buffer = (int)cli_size(value, "-I", INT_MAX);
		break;
	case 'O':
		options->socket.send_buffer = (int)cli_size(value, "-O", INT_MAX);
		break;
	case 'v':
		if (options->verbose < 0)
			cli_usage_error("-v contradicts --quiet");
		options->verbose++;
		break;
	case QUIET:
		if (options->verbose > 0)
			cli_usage_error("--quiet contradicts -v");
		options->verbose = -1;
		break;
	case 'h':
		finish_output(cli_help(reading->command));
	default:
		break;
	}
}

static void set_tls(struct reading *reading, int letter, const char *value)
{
	struct tls_options *tls = &reading->options->tls;

	switch (letter) {
	case TLS:
		reading->tls = true;
		break;
	case CERT:
		tls->certificate = cli_file(value, "--cert");
		break;
	case KEY:
		tls->key = cli_file(value, "--key");
		break;
	case CA:
		tls->ca = cli_file(value, "--ca");
		break;
	case INSECURE:
		tls->insecure = true;
		break;
	case SERVER_NAME:
		tls->server_name = value;
		break;
	case CLIENT_CA:
		tls->client_ca = cli_file(value, "--client-ca");
		break;
	case ALPN:
		tls->alpn = cli_alpn(value);
		break;
	case TLS_MIN:
		tls->least = cli_tls_version(value);
		break;
	default:
		set_common(reading, letter, value);
		break;
	}
}

static void set_fanout(struct reading *reading, int letter, const char *value)
{
	struct options *options = reading->options;

	switch (letter) {
	case FROM:
		if (reading->from)
			cli_usage_error("--from: fanout reads one address");
		reading->from = value;
		break;
	case CHAT:
		options->chat = true;
		/* fall through */
	case BROKER:
		options->broker = true;
		break;
	case MIN_CLIENTS:
		options->min_clients = cli_number(value, "--min-clients", 0, 1000000);
		reading->min_clients_given = true;
		break;
	case QUEUE:
		options->hub.queue = cli_size(value, "--queue", (uint64_t)1 << 40);
		break;
	case SLOW:
		options->hub.slow = cli_slow(value);
		break;
	case STALL:
		options->hub.stall = cli_seconds(value, "--stall");
		break;
	case REPLAY:
		options->hub.replay = cli_size(value, "--replay", (uint64_t)1 << 40);
		break;
	default:
		set_tls(reading, letter, value);
		break;
	}
}

static void set_option(struct reading *reading, int letter, const char *value)
{
	struct options *options = reading->options;

	switch (letter) {
	case 'k':
		options->keep_open = true;
		break;
	case 'm':
		options->max_conns = cli_number(value, "-m", 1, 1000000);
		break;
	case 'w':
		options->timeout = cli_seconds(value, "-w");
		break;
	case TO:
		reading->to[options->to_count++] = value;
		break;
	case PORT_FILE:
		options->port_file = cli_file(value, "--port-file");
		break;
	case MODE:
		options->socket.mode = cli_mode(value);
		break;
	case 'z':
		options->zero = true;
		break;
	case 's':
		reading->source = value;
		break;
	case 'p':
		options->socket.source_port = (uint16_t)cli_number(value, "-p", 1, 65535);
		break;
	case 'd':
		options->no_stdin = true;
		break;
	case SEND_ONLY:
		options->send_only = true;
		break;
	case RECV_ONLY:
		options->recv_only = true;
		break;
	case NO_SHUTDOWN:
		options->no_shutdown = true;
		break;
	case EXIT_ON_EOF:
		options->exit_on_eof = true;
		break;
	case 'q':
		options->linger = cli_linger(value);
		break;
	case DISCARD:
		options->discard = true;
		break;
	case THREADS:
		options->threads = (unsigned)cli_number(value, "--threads", 1, 256);
		break;
	default:
		set_fanout(reading, letter, value);
		break;
	}
}

/* getopt_long's tables for one command, or for what may stand before it (ALL). */
struct tables {
	char letters[2 * CLI_OPTIONS + 3];
	struct option longs[CLI_OPTIONS + 2];
};

static void build_tables(struct tables *tables, unsigned bits)
{
	char *letter = tables->letters;
	struct option *option = tables->longs;

	*letter++ = bits == ALL ? '+' : ':'; /* '+': stop at the command */
	if (bits == ALL)
		*letter++ = ':';
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		const struct cli_option *row = &cli_options[i];

		if ((row->commands & bits) != bits)
			continue;
		if (row->letter < BACKEND) {
			*letter++ = (char)row->letter;
			if (row->value)
				*letter++ = ':';
		}
		if (row->name)
			*option++ = (struct option){ row->name,
				row->value ? required_argument : no_argument, NULL, row->letter };
	}
	if (bits == ALL)
		*option++ = (struct option){ "version", no_argument, NULL, VERSION };
	*letter = '\0';
	memset(option, 0, sizeof(*option));
}

static bool is_ambiguous(const char *word, unsigned bits)
{
	size_t length = strcspn(word + 2, "=");
	size_t found = bits == ALL && strncmp("version", word + 2, length) == 0;

	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].name && (cli_options[i].commands & bits) == bits &&
			strncmp(cli_options[i].name, word + 2, length) == 0)
			found++;
	return found > 1;
}

static bool is_letter_here(int letter, unsigned bits)
{
	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].letter == letter && (cli_options[i].commands & bits) == bits)
			return true;
	return false;
}

static void complain_about_option(int result, char **argv, unsigned bits)
{
	const char *word = argv[optind - 1];
	bool is_long = strncmp(word, "--", 2) == 0;

	/* mingw-w64's getopt_long answers so to a value that is not wanted, too */
	if (result == ':' && is_long && !strchr(word, '='))
		cli_usage_error("%s needs a value", word);
	if (result == ':' && !is_long)
		cli_usage_error("-%c needs a value", optopt);
	/* one of several letters in a word, which getopt has yet to leave: `word` is the one before */
	if (optopt && optopt < BACKEND && !is_letter_here(optopt, bits))
		cli_usage_error("-%c: no such option here", optopt);
	if (optopt)
		cli_usage_error("%.200s: this option takes no value", word);
	if (is_ambiguous(word, bits))
		cli_usage_error("%.200s: more than one option begins like this", word);
	cli_usage_error("%.200s: no such option here", word);
}

/* An option without a letter as it is written. */
static const char *word_of(int letter)
{
	static char word[32];

	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].letter == letter)
			snprintf(word, sizeof(word), "--%s", cli_options[i].name);
	return word;
}

/* Reads options; returns the index of the first operand. */
static int read_options(struct reading *reading, int argc, char **argv)
{
	unsigned bits = reading->command ? reading->command->bit : ALL;
	struct tables tables;
	int letter;

	build_tables(&tables, bits);
	optind = 0; /* start anew (getopt(3), glibc) */
	opterr = 0;
	while ((letter = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		if (letter == '?' || letter == ':')
			complain_about_option(letter, argv, bits);
		if (letter == VERSION) {
			finish_output(cli_version());
		}
		if (letter >= TLS && letter <= CLIENT_CA)
			reading->tls_option = word_of(letter);
		if (letter != 'N')
			set_option(reading, letter, optarg);
	}
	return optind;
}

/* ---- what it all means together ---- */

static void read_address(
	struct address *address, const char *text, const struct address_defaults *defaults)
{
	const char *wrong = address_parse(address, text, defaults);

	if (wrong)
		cli_usage_error("'%.200s': %s", text, wrong);
}

/* An address to connect to: without a host it is this one; the port must be there. */
static void read_target(
	struct address *address, const char *text, const struct address_defaults *defaults)
{
	read_address(address, text, defaults);
	if (!address_is_local(address) && !address->port)
		cli_usage_error("'%.200s': one cannot connect to port 0", text);
}

static void set_defaults(const struct reading *reading, struct address_defaults *defaults)
{
	defaults->forced = reading->udp || reading->local;
	defaults->tls = reading->tls;
	defaults->numeric = reading->numeric;
	defaults->family = reading->family;
	if (reading->local)
		defaults->scheme = reading->udp ? ADDRESS_UNIXGRAM : ADDRESS_UNIX;
	else
		defaults->scheme = reading->udp ? ADDRESS_UDP : ADDRESS_TCP;
}

static void read_operands(struct reading *reading, int count, char **operands,
	const struct address_defaults *defaults)
{
	struct options *options = reading->options;
	const char *name = reading->command->name;
	bool dials = reading->command->bit == CONNECT;

	if (count == 0)
		cli_usage_error("%s: the address is missing", name);
	if (count > 2)
		cli_usage_error("'%.200s': %s takes HOST PORT or one ADDRESS", operands[2], name);
	if (count == 1 && dials)
		read_target(&options->address, operands[0], defaults);
	else if (count == 1)
		read_address(&options->address, operands[0], defaults);
	if (count == 2) {
		const char *word;
		const char *wrong = address_parse_pair(
			&options->address, operands[0], operands[1], defaults, &word);

		if (wrong)
			cli_usage_error("'%.200s': %s", word, wrong);
		if (dials && !options->address.port)
			cli_usage_error("'%.200s': one cannot connect to port 0", operands[1]);
	}
}

/* Reads everything after the command's name; what comes back is ready to run. */
static void read_command(struct reading *reading, int argc, char **argv)
{
	struct options *options = reading->options;
	struct address_defaults defaults;
	int first = read_options(reading, argc, argv);

	set_defaults(reading, &defaults);
	if (options->edge && !mux_backend_has_edge(options->backend))
		cli_usage_error("--edge: %s has no edge-triggered mode", options->backend);
	options->to = calloc(options->to_count + 1, sizeof(*options->to));
	if (!options->to)
		out_of_memory();
	for (size_t i = 0; i < options->to_count; i++)
		read_target(&options->to[i], reading->to[i], &defaults);
	if (reading->from) {
		read_target(&options->from, reading->from, &defaults);
		options->has_from = true;
	}
	if (reading->command->bit == FANOUT && options->to_count) {
		if (first < argc)
			cli_usage_error("'%.200s': --to takes the place of an address to serve",
				argv[first]);
	} else {
		read_operands(reading, argc - first, argv + first, &defaults);
	}
	if (options->port_file && address_is_local(&options->address))
		cli_usage_error("--port-file: a Unix socket has no port");
	cli_check(reading);
}

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	cli_usage_error("'%.200s': the commands are listen, connect, echo and fanout", name);
}

static void show_help(int argc, char **argv)
{
	if (argc > 2)
		cli_usage_error("'%.200s': help takes one command", argv[2]);
	finish_output(cli_help(argc > 1 ? find_command(argv[1]) : NULL));
}

int main(int argc, char **argv)
{
	struct options options = {
		.backend = mux_backends()[0],
		.linger = OPTION_LINGER_UNSET,
		.threads = 1,
		.hub = { .slow = HUB_WAIT, .queue = 1024 * 1024, .stall = 10 * 1000 },
	};
	struct reading reading = { .options = &options, .family = AF_UNSPEC };
	int status;

	os_start();
	reading.to = calloc((size_t)argc + 1, sizeof(*reading.to));
	if (!reading.to)
		out_of_memory();

	int at = read_options(&reading, argc, argv);

	if (at >= argc)
		cli_usage_error("a command is missing: listen, connect, echo or fanout");
	if (strcmp(argv[at], "help") == 0)
		show_help(argc - at, argv + at);
	reading.command = find_command(argv[at]);
	read_command(&reading, argc - at, argv + at);
	report_verbosity(options.verbose);
	status = reading.command->run(&options);
	free(options.to);
	free(reading.to);
	os_exit(status);
}
