#include "cmd_worker.h"

#include "resolve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a stopped command may take to write out what it has read, in milliseconds. */
enum { GRACE = 1000 };

/* The process has one set of signal handlers, so it has one command to tell. */
static struct cmd *running;
static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
	caught = signal;
	mux_post(running->mux, &running->signalled);
}

static void leave(const struct cmd *cmd)
{
	if (caught)
		os_die_by(caught);
	os_exit_at_once(cmd->status);
}

static void grace_over(struct mux_timer *timer)
{
	leave(container_of(timer, struct cmd, grace));
}

/* Do several threads have a listener each? Else one deals out; only so -m can count for all. */
static bool threads_share_port(const struct options *options)
{
	return options->threads > 1 && socket_ports_are_shared() &&
	       !address_is_local(&options->address) && !options->max_conns;
}

/* What -vv tells of the options that work unseen. */
static void report_options(const struct options *options)
{
	const struct socket_options *socket = &options->socket;

	report_event(2, "backend %s%s", options->backend, options->edge ? ", edge-triggered" : "");
	if (options->threads > 1)
		report_event(2, "%u threads, %s", options->threads,
			threads_share_port(options) ? "each with a listener of its own"
						    : "one of which deals out who comes");
	if (socket->recv_buffer)
		report_event(2, "receive buffer of %d bytes", socket->recv_buffer);
	if (socket->send_buffer)
		report_event(2, "send buffer of %d bytes", socket->send_buffer);
	if (options->timeout)
		report_event(2, "waiting %g s for a connection", (double)options->timeout / 1000);
	if (options->idle_timeout)
		report_event(2, "a connection may be idle for %g s",
			(double)options->idle_timeout / 1000);
}

/* The contexts that the addresses of the command line need; false after a reported failure. */
static bool prepare_tls(struct cmd *cmd)
{
	const struct options *options = cmd->options;
	char fingerprint[TLS_TEXT] = "";
	char wrong[TLS_TEXT] = "";

	if (options->dials_tls && options->tls.insecure)
		report_warning("--insecure: nobody checks who the server is");
	if (options->dials_tls && !(cmd->tls_client = tls_client(&options->tls, wrong))) {
		report_error("TLS: %s", wrong);
		return false;
	}
	if (options->serves_tls &&
		!(cmd->tls_server = tls_server(&options->tls, fingerprint, wrong))) {
		report_error("TLS: %s", wrong);
		tls_context_free(cmd->tls_client);
		return false;
	}
	if ((cmd->tls_client || cmd->tls_server) && tls_key_log())
		report_warning(
			"SSLKEYLOGFILE: whoever reads %s can read what is sent", tls_key_log());
	if (*fingerprint)
		report_warning("a self-signed certificate, SHA-256 %s", fingerprint);
	return true;
}

void cmd_stop(struct cmd *cmd)
{
	if (cmd->stopping)
		return;
	cmd->stopping = true;
	mux_timer_stop(&cmd->first);
	cmd->stop(cmd);
	cmd_stop_workers(cmd);
}

static void stop_soon(struct cmd *cmd)
{
	mux_timer_start(cmd->mux, &cmd->grace, GRACE, grace_over);
	cmd_stop(cmd);
}

static void signalled(struct mux_task *task)
{
	stop_soon(container_of(task, struct cmd, signalled));
}

int cmd_open(struct cmd *cmd, const struct options *options, cmd_stop_fn *stop)
{
	int error;

	cmd->options = options;
	cmd->stop = stop;
	cmd->signalled.run = signalled;
	if (!prepare_tls(cmd))
		return CMD_ERROR;
	os_raise_descriptor_limit();
	cmd->mux = mux_new(options->backend, options->edge, &error);
	if (!cmd->mux) {
		report_error("%s: %s", options->backend, os_error(error));
		return CMD_ERROR;
	}
	report_options(options);
	running = cmd;
	os_catch_signals(on_signal);
	return CMD_DONE;
}

void cmd_loop_failed(const struct cmd *cmd, int error)
{
	report_error("%s: %s", cmd->options->backend, os_error(error));
	os_exit_at_once(CMD_ERROR);
}

/* What only finds out whether a port is open, by -z, reads nothing, and should cost nothing. */
static void confine(const struct cmd *cmd)
{
	const struct options *options = cmd->options;
	int error = options->zero && !options->dials_tls ? 0 : os_confine(OS_NO_PROGRAMS);

	if (error)
		report_event(2, "not confined: %s", os_error(error));
	if (!cmd->joins)
		cmd_confine_files();
}

void cmd_confine_files(void)
{
	os_confine(OS_NO_FILES); /* it has been told if the system cannot */
}

int cmd_run(struct cmd *cmd)
{
	int error;

	confine(cmd);
	error = mux_run(cmd->mux);
	if (error)
		cmd_loop_failed(cmd, error);
	os_release_signals();
	if (caught)
		os_die_by(caught);
	mux_timer_stop(&cmd->grace);
	mux_free(cmd->mux);
	tls_context_free(cmd->tls_client);
	tls_context_free(cmd->tls_server);
	return cmd->status;
}

void cmd_fail(struct cmd *cmd, int status)
{
	if (!cmd->status)
		cmd->status = status;
	stop_soon(cmd);
}

void cmd_stdout_failed(struct cmd *cmd, int error)
{
	if (error == -EPIPE && os_pipe_kills()) {
		cmd_stop(cmd); /* removes what the file system should not keep */
		os_die_by_pipe();
	}
	report_error("stdout: %s", os_error(error));
	cmd_fail(cmd, CMD_ERROR);
}

/* ---- dialling ---- */

struct dial *cmd_dial(struct cmd *cmd, const struct address *address, uint64_t deadline,
	dial_done *done, void *user)
{
	struct dial *dial = dial_start(
		cmd->mux, address, &cmd->options->socket, cmd->tls_client, deadline, done, user);

	if (!dial)
		report_error("out of memory");
	return dial;
}

int cmd_dialled(struct cmd *cmd, const struct address *address, const struct dialled *dialled,
	struct connection *connection)
{
	/* one of many relayed connections is not the program */
	void (*report)(const char *format, ...) =
		cmd->options->keep_open ? report_warning : report_error;
	int error = dialled->error;
	const char *why = dialled->why;
	char text[ADDRESS_TEXT];

	if (!error) {
		error = connection_open(connection, cmd->mux, &dialled->transport);
		why = os_error(error);
	}
	if (!error) {
		report_connected(connection);
		return CMD_DONE;
	}
	report("connect %s: %s", address_text(address, text), why);
	switch (error) {
	case -ETIME:
		return CMD_TIMED_OUT;
	case TLS_UNTRUSTED:
		return CMD_UNTRUSTED;
	default:
		return CMD_ERROR;
	}
}

/* ---- serving ---- */

static void troubled(struct server *server, int error)
{
	(void)server;
	report_warning("accept: %s; waiting until there is room", os_error(error));
}

static void rejected(struct server *server, const struct os_address *peer, const char *why)
{
	char text[ADDRESS_TEXT];

	(void)server;
	report_warning("accept %s: %s", address_socket_text(peer, text), why);
}

static uint16_t port_of(const struct os_address *bound)
{
	return ntohs(
		bound->u.any.sa_family == AF_INET6 ? bound->u.v6.sin6_port : bound->u.v4.sin_port);
}

/*
 * Written beside and renamed, so that whoever waits for the file never reads half a number; but
 * straight into what is no regular file, as a FIFO or a link, which /dev/stdout is.
 */
static bool write_port_file(const char *path, unsigned port)
{
	char temporary[4096];
	struct stat status;
	bool special = lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
	FILE *file = NULL;
	bool written = false;

	if (special)
		file = fopen(path, "w");
	else if (snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid()) <
		 (int)sizeof(temporary))
		file = fopen(temporary, "wx");
	else
		errno = ENAMETOOLONG;
	if (file) {
		written = fprintf(file, "%u\n", port) > 0;
		written = fclose(file) == 0 && written;
		written = written && (special || os_replace_file(temporary, path));
	}
	if (!written) {
		report_error("%s: %s", path, strerror(errno));
		if (file && !special)
			remove(temporary);
	}
	return written;
}

static void nobody_came(struct mux_timer *timer)
{
	struct cmd *cmd = container_of(timer, struct cmd, first);
	char text[ADDRESS_TEXT];

	report_error("listen %s: nobody connected within %g s",
		address_text(&cmd->options->address, text), (double)cmd->options->timeout / 1000);
	cmd_fail(cmd, CMD_TIMED_OUT);
}

void cmd_somebody_came(struct cmd *cmd)
{
	if (cmd->main)
		cmd_tell_main(cmd);
	else
		mux_timer_stop(&cmd->first);
}

bool cmd_announce(struct cmd *cmd, const struct os_address *bound)
{
	const struct options *options = cmd->options;

	report_listening(bound, &options->address);
	if (options->timeout)
		mux_timer_start(cmd->mux, &cmd->first, options->timeout, nobody_came);
	return !options->port_file || write_port_file(options->port_file, port_of(bound));
}

void cmd_listen_failed(struct cmd *cmd, int error)
{
	char text[ADDRESS_TEXT];

	report_error(
		"listen %s: %s", address_text(&cmd->options->address, text), resolve_error(error));
	cmd->status = CMD_ERROR;
}

bool cmd_listen_on(struct cmd *cmd, struct server *server)
{
	const struct options *options = cmd->options;
	struct socket_options socket = options->socket;
	int error;

	server->max = options->max_conns;
	server->troubled = troubled;
	server->rejected = rejected;
	server->tls = options->address.tls ? cmd->tls_server : NULL;
	if (threads_share_port(options))
		socket.port = SOCKET_PORT_SHARED;
	error = server_open(server, cmd->mux, &options->address, &socket);
	if (error)
		cmd_listen_failed(cmd, error);
	return !error;
}

bool cmd_listen_beside(struct cmd *worker, struct server *server, struct server *first)
{
	struct socket_options socket = worker->options->socket;
	bool shares_port = threads_share_port(worker->options);
	int error;

	server->tls = worker->tls_server;
	socket.port = SOCKET_PORT_JOINED;
	error = server_open_beside(server, worker->mux, first, &socket, shares_port);
	if (error)
		cmd_listen_failed(worker, error);
	return !error;
}

bool cmd_announce_server(struct cmd *cmd, struct server *server)
{
	const struct options *options = cmd->options;
	const struct os_address *bound;

	for (size_t i = 1; (bound = server_bound(server, i)); i++)
		report_listening(bound, &options->address);
	if (!cmd_announce(cmd, server_bound(server, 0))) {
		cmd->status = CMD_ERROR;
		server_close(server);
		return false;
	}
	return true;
}

bool cmd_serve(struct cmd *cmd, struct server *server)
{
	return cmd_listen_on(cmd, server) && cmd_announce_server(cmd, server);
}

bool cmd_take(struct cmd *cmd, struct server *server, const struct transport *arrival,
	struct connection *connection)
{
	char text[ADDRESS_TEXT];
	int error = server_take(server, arrival, connection);

	if (error) {
		address_socket_text(arrival->peer, text);
		if (error == -EMFILE)
			report_warning("accept %s: refused, descriptor %d is beyond FD_SETSIZE",
				text, (int)arrival->fd);
		else
			report_warning("accept %s: refused, %s", text, os_error(error));
		return false;
	}
	cmd_somebody_came(cmd);
	report_accepted(connection);
	return true;
}

void cmd_refuse(struct server *server, const struct transport *arrival)
{
	char text[ADDRESS_TEXT];

	report_warning("accept %s: refused, %s", address_socket_text(arrival->peer, text),
		os_error(-ENOMEM));
	server_refuse(server, arrival);
}

void cmd_check_refused(struct cmd *cmd, const struct connection *connection)
{
	int refused = connection->stream->refused;
	char text[ADDRESS_TEXT];

	if (!refused || cmd->status)
		return;
	report_error("recv %s: %s", address_socket_text(&connection->peer, text),
		stream_error(connection->stream, refused));
	cmd->status = CMD_ERROR;
}

const char *cmd_relay_reason(const struct relay *relay)
{
	switch (relay->reason) {
	case RELAY_FAILED:
		return stream_error(relay->failed, relay->error);
	case RELAY_IDLE:
		return "idle";
	default:
		return relay->lingered  ? "lingered long enough"
		       : relay->stopped ? "stopped"
					: "end of file";
	}
}
