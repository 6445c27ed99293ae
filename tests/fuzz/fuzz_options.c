/*
 * The whole command line, parse only: the input's words end with NULs, as in /proc/PID/cmdline. It is refused
 * in one line with status 2, answered (help, version), or handed to a command; what a command gets keeps
 * every promise that the manual and cli_check.c make.
 *
 * cli.o's main, exit, calloc and free are those of the same name here with fuzz_ before them (Makefile): a
 * refusal ends the program, which need not free what it has.
 */
#include "cmd.h"

#include "fuzz.h"

#include <setjmp.h>
#include <string.h>

enum {
	WORDS = 60,
	SAID = 64 * 1024,
	NAMED = 200,
	LINE = 500,
	RAN = 100 /* a command's status here */
};
static const uint64_t MOST_SECONDS = (uint64_t)1e12, MOST_SIZE = (uint64_t)1 << 40;

int fuzz_main(int argc, char **argv);
_Noreturn void fuzz_exit(int status);
void *fuzz_calloc(size_t count, size_t size);
void fuzz_free(void *block);

static jmp_buf ended;
static void *blocks[4]; /* of cli.o */

void fuzz_exit(int status)
{
	longjmp(ended, status + 1);
}

void *fuzz_calloc(size_t count, size_t size)
{
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (!blocks[i])
			return blocks[i] = calloc(count, size);
	must(false, "more blocks than are expected");
}

void fuzz_free(void *block)
{
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		if (blocks[i] == block)
			blocks[i] = NULL;
	free(block);
}

/* How many there were. */
static int free_blocks(void)
{
	int count = 0;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		count += blocks[i] != NULL;
		free(blocks[i]);
		blocks[i] = NULL;
	}
	return count;
}

/* ---- what a command may rely on ---- */

static void check_target(const struct address *address)
{
	must(address_is_local(address) || address->port, "port 0 is dialled");
}

static void check_limits(const struct options *o)
{
	must(mux_backend_has_edge(o->backend) || !o->edge, "--edge, and %s has none", o->backend);
	must(o->verbose >= -1, "-v: %d", o->verbose);
	must(o->idle_timeout <= MOST_SECONDS && o->timeout <= MOST_SECONDS, "-i, -w: too long");
	must(o->linger >= OPTION_LINGER_UNSET && o->linger <= (int64_t)MOST_SECONDS, "-q");
	must(o->socket.recv_buffer >= 0 && o->socket.send_buffer >= 0, "-I, -O");
	must(o->max_conns <= 1000000 && o->min_clients <= 1000000, "-m, --min-clients");
	must(o->threads >= 1 && o->threads <= 256, "--threads");
	must(o->hub.queue && o->hub.queue <= MOST_SIZE && o->hub.replay <= MOST_SIZE, "a size");
	must(o->hub.stall && o->hub.stall <= MOST_SECONDS, "--stall");
}

static void check_contradictions(const struct options *o)
{
	must(!o->send_only || (!o->recv_only && !o->no_stdin),
		"--send-only, and -d or --recv-only");
	must(!o->port_file || (*o->port_file && !address_is_local(&o->address)), "--port-file");
	must(!o->chat || o->broker, "--chat without --broker");
	for (size_t i = 0; i < o->to_count; i++)
		check_target(&o->to[i]);
	if (o->has_from)
		check_target(&o->from);
}

static void check_tls(const struct options *o, bool serves, bool dials)
{
	const struct tls_options *tls = &o->tls;
	bool has_tls = o->from.tls || (dials && o->address.tls);

	for (size_t i = 0; i < o->to_count; i++) {
		has_tls = has_tls || o->to[i].tls;
		must(!o->to[i].tls || !address_is_datagram(&o->to[i]), "TLS over datagrams");
	}
	must(!o->address.tls || !address_is_datagram(&o->address), "TLS over datagrams");
	must(o->serves_tls == (serves && o->address.tls), "serves_tls");
	must(o->dials_tls == has_tls, "dials_tls");
	must(tls_is_built_in() || (!o->serves_tls && !o->dials_tls), "there is no TLS");
	must(o->serves_tls || o->dials_tls || (!tls->certificate && !tls->alpn && !tls->least),
		"an option of TLS, and there is none");
	must(!tls->key || tls->certificate, "--key without --cert");
	must(!tls->client_ca || o->serves_tls, "--client-ca, and nobody is served by TLS");
	must(o->dials_tls || (!tls->ca && !tls->insecure && !tls->server_name),
		"--ca, --insecure, --server-name, and nobody is dialled by TLS");
	must(!tls->ca || !tls->insecure, "--ca and --insecure");
	must(!tls->server_name || (*tls->server_name && strlen(tls->server_name) <= 253),
		"--server-name");
}

/* What belongs to other commands is as it was. */
static void must_lack(const struct options *o, bool data, bool serves, bool fanout)
{
	must(data || (!o->no_stdin && !o->send_only && !o->recv_only && !o->no_shutdown &&
			     !o->exit_on_eof && o->linger == OPTION_LINGER_UNSET),
		"an option of listen and connect");
	must(serves || (!o->max_conns && !o->port_file && !o->tls.client_ca), "one of a server");
	must(fanout || (!o->broker && !o->chat && !o->min_clients && !o->has_from &&
			       !o->hub.replay && o->hub.slow == HUB_WAIT),
		"one of fanout");
}

static int check(const struct options *o, bool serves, bool dials)
{
	check_limits(o);
	check_contradictions(o);
	check_tls(o, serves, dials);
	return RAN;
}

int cmd_listen(const struct options *o)
{
	must_lack(o, true, true, false);
	must(!o->zero && !o->socket.source.length && !o->socket.source_port, "one of connect");
	must(!o->discard && o->threads == 1, "one of echo");
	must(o->to_count <= 1, "%zu --to", o->to_count);
	must(!o->to_count || (!o->no_stdin && !o->recv_only && !o->send_only), "--to and stdin");
	return check(o, true, false);
}

int cmd_connect(const struct options *o)
{
	const struct os_address *source = &o->socket.source;

	must_lack(o, true, false, false);
	must(!o->keep_open && !o->to_count, "an option of listen");
	must(!o->discard && o->threads == 1, "one of echo");
	check_target(&o->address);
	must(!o->zero || !address_is_datagram(&o->address), "-z and datagrams");
	must(!address_is_local(&o->address) || (!source->length && !o->socket.source_port),
		"-s, -p and a Unix socket");
	must(!source->length || !o->address.family || source->u.any.sa_family == o->address.family,
		"-s is of another family");
	return check(o, false, true);
}

int cmd_echo(const struct options *o)
{
	must_lack(o, false, true, false);
	must(!o->keep_open && !o->to_count && !o->zero, "an option of other commands");
	must(!address_is_datagram(&o->address) ||
			(!o->max_conns && !o->idle_timeout && o->threads == 1),
		"an echo of datagrams with connections");
	return check(o, true, false);
}

int cmd_fanout(const struct options *o)
{
	must_lack(o, false, true, true);
	must(!o->keep_open && !o->zero && !o->discard && o->threads == 1 && !o->timeout,
		"an option of other commands");
	must(!o->broker || !o->has_from, "--broker and --from");
	must(!o->has_from || !address_is_datagram(&o->from), "--from datagrams");
	must(o->to_count || !address_is_datagram(&o->address), "datagrams are served");
	must(!o->to_count || (!o->max_conns && !o->port_file), "--to, and -m or --port-file");
	must(!o->to_count || o->min_clients <= o->to_count, "--min-clients is more than --to");
	return check(o, !o->to_count, false);
}

/* ---- one command line ---- */

/* What is printed goes here for as long as cli.o runs. */
struct spoken {
	char text[SAID];
	FILE *file;
	FILE *own; /* stdout or stderr */
};
static struct spoken answer, complaint;

static void catch (struct spoken *spoken, FILE **stream)
{
	if (!spoken->file)
		spoken->file = fmemopen(spoken->text, SAID, "w");
	must(spoken->file, "out of memory");
	rewind(spoken->file);
	spoken->own = *stream;
	*stream = spoken->file;
}

/* How many bytes. */
static size_t release(struct spoken *spoken, FILE **stream)
{
	*stream = spoken->own;
	fflush(spoken->file);
	return (size_t)ftell(spoken->file);
}

/* As report.c writes it into a line. */
static bool is_written(const char *line, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] != ((unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]))
			return false;
	return true;
}

/* The line goes on with a word, the end of one (an option's value), or the first NAMED bytes of it. */
static bool names_word(const char *line, const char *end, char *const *words)
{
	for (; *words; words++)
		for (size_t from = strlen(*words) + 1; from-- > 0;) {
			const char *word = *words + from;
			size_t length = strnlen(word, NAMED);

			if (length < (size_t)(end - line) && is_written(line, word, length) &&
				line[length] == '\'')
				return true;
		}
	return false;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	return length >= strlen(end) && memcmp(text + length - strlen(end), end, strlen(end)) == 0;
}

static void check_complaint(const char *text, size_t length, char *const *words)
{
	must(length > 8 && strncmp(text, "muxcat: ", 8) == 0, "no complaint");
	must(memchr(text, '\n', length) == text + length - 1, "not one line");
	for (size_t i = 0; i < length - 1; i++)
		must((unsigned char)text[i] >= ' ' && text[i] != 0x7f, "a control character");
	must(length < LINE, "it has been cut off");
	must(text[8] != '\'' || names_word(text + 9, text + length, words), "of no word here: %.*s",
		(int)length, text);
	must(!ends_with(text, length, ": this option takes no value\n") ||
			memchr(text, '=', length),
		"and it has none: %.*s", (int)length, text);
}

static void run(int argc, char **argv)
{
	int status;
	size_t said, complained;
	int left;

	catch (&answer, &stdout);
	catch (&complaint, &stderr);
	status = setjmp(ended);
	if (!status)
		fuzz_main(argc, argv);
	status--;
	said = release(&answer, &stdout);
	complained = release(&complaint, &stderr);
	left = free_blocks();
	if (status == CMD_USAGE) {
		must(!said, "refused, and said %.*s", (int)said, answer.text);
		check_complaint(complaint.text, complained, argv);
	} else {
		must(!complained, "it complained: %.*s", (int)complained, complaint.text);
		must(status == RAN || (status == CMD_DONE && said), "it ended with %d", status);
		must(status != RAN || (!said && !left), "a command ran, and left something");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[WORDS + 2] = { strdup("muxcat") };
	int argc = 1;

	while (size && argc <= WORDS) {
		const uint8_t *end = memchr(data, '\0', size);
		size_t length = end ? (size_t)(end - data) : size;

		argv[argc++] = strndup((const char *)data, length);
		length += end ? 1 : 0;
		data += length;
		size -= length;
	}

	char *words[WORDS + 2]; /* getopt moves those of argv about */

	memcpy(words, argv, sizeof(words));
	run(argc, argv);
	for (int i = 0; i < argc; i++)
		free(words[i]);
	return 0;
}
