/*
 * What the commands share: the loop with its signals, the exit status, serving, and the words for
 * what went wrong.
 */
#ifndef MUXCAT_CMD_H
#define MUXCAT_CMD_H

#include "dial.h"
#include "options.h"
#include "relay.h"
#include "report.h"
#include "server.h"

#include <pthread.h>

/* Exit status: see "Exit status" in muxcat(1). */
enum { CMD_DONE, CMD_ERROR, CMD_USAGE, CMD_TIMED_OUT, CMD_UNTRUSTED };

/* How long a peer may take to acknowledge the last bytes when we are the first to leave. */
enum { CMD_PATIENCE = 10 * 1000 };

/* The commands. Each returns the exit status, or ends the process by the signal that stopped it. */
int cmd_listen(const struct options *options);
int cmd_connect(const struct options *options);
int cmd_echo(const struct options *options);
int cmd_fanout(const struct options *options);

struct cmd;

/*
 * Stop accepting and reading, and close everything once what has been read is written, so that the
 * loop ends. May be called again when there is less to wait for.
 */
typedef void cmd_stop_fn(struct cmd *cmd);

struct cmd {
	const struct options *options;
	struct mux *mux;
	struct tls_context *tls_client; /* NULL until an address asks for it */
	struct tls_context *tls_server;
	int status;
	bool joins; /* stdin and stdout are opened once there is a connection, see cmd_join.h */
	bool stopping;
	/* ---- */
	cmd_stop_fn *stop;
	struct mux_task signalled;
	struct mux_timer first; /* -w of a server: the time to the first connection */
	struct mux_timer grace;
	struct list_link *workers; /* of struct cmd, linked by `beside` */
	/* ---- a worker's, see cmd_worker.h */
	struct cmd *main; /* NULL: it is no worker */
	struct list_link beside;
	pthread_t thread;
	bool told_main;
	struct mux_task somebody_came; /* for the main loop, as `ended` */
	struct mux_task ended;
	struct mux_task told_to_stop; /* for its own */
};

/* Make the loop and catch signals. 0, or the exit status after an error that has been reported. */
int cmd_open(struct cmd *cmd, const struct options *options, cmd_stop_fn *stop);

/*
 * Give up what is not needed from here on (os_confine), run the loop to its end and free it; returns the
 * exit status, or dies by the caught signal.
 */
int cmd_run(struct cmd *cmd);

/* What `joins` has put off: every file that is written is open. */
void cmd_confine_files(void);

/* The loop has failed, and the program with it. */
_Noreturn void cmd_loop_failed(const struct cmd *cmd, int error);

/* Stop, in order: `stop` is called, and the loop ends when all is written and closed. */
void cmd_stop(struct cmd *cmd);

/*
 * The program has failed with `status`, if it had not before; the caller reported why. It stops, as
 * by a signal: what has not ended a second later is left behind.
 */
void cmd_fail(struct cmd *cmd, int status);

/* Writing to stdout failed: dies by SIGPIPE if its reader is gone, else reports it and fails. */
void cmd_stdout_failed(struct cmd *cmd, int error);

/*
 * Dial an address of the command line, by TLS where it says so; NULL after a reported failure. See
 * dial_start.
 */
struct dial *cmd_dial(struct cmd *cmd, const struct address *address, uint64_t deadline,
	dial_done *done, void *user);

/*
 * Make a connection of what was dialled and report it; or report why there is none, and give the
 * exit status for it.
 */
int cmd_dialled(struct cmd *cmd, const struct address *address, const struct dialled *dialled,
	struct connection *connection);

/*
 * Open `server`, whose owner and arrived are set; and then report where it listens, write --port-file
 * and count the time to the first connection (-w): cmd_serve does both. False after a failure, which
 * has been reported: the status is set and nothing is left open.
 */
bool cmd_listen_on(struct cmd *cmd, struct server *server);
bool cmd_announce_server(struct cmd *cmd, struct server *server);
bool cmd_serve(struct cmd *cmd, struct server *server);

/* The same as cmd_listen_on, beside `first` (server_open_beside). */
bool cmd_listen_beside(struct cmd *worker, struct server *server, struct server *first);

/* Report that the bind of the command's operand failed. */
void cmd_listen_failed(struct cmd *cmd, int error);

/*
 * Announce a bound address, write --port-file and start -w's time; false after a reported failure.
 */
bool cmd_announce(struct cmd *cmd, const struct os_address *bound);

/* -w: somebody has come. */
void cmd_somebody_came(struct cmd *cmd);

/* server_take with its failure reported as a warning; false then. Reports what was accepted. */
bool cmd_take(struct cmd *cmd, struct server *server, const struct transport *arrival,
	struct connection *connection);

/* server_refuse for want of memory, with a warning. */
void cmd_refuse(struct server *server, const struct transport *arrival);

/*
 * From the `closed` of a connection: if its peer has refused what it was sent last, report that and set
 * the exit status, unless the command has failed before.
 */
void cmd_check_refused(struct cmd *cmd, const struct connection *connection);

/* Why a relay ended, in a few words, for report_closed. Valid until the next call. */
const char *cmd_relay_reason(const struct relay *relay);

#endif
