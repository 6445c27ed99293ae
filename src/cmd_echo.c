#include "cmd_worker.h"

#include <errno.h>
#include <stdlib.h>

struct echo {
	struct cmd cmd;
	struct server server;
	struct list_link *clients; /* of struct client */
	size_t served;             /* clients so far */
	/*
	 * a datagram server keeps no clients: each datagram goes back before the next is received
	 */
	struct mux_io datagrams;
	struct mux_op recv_op;
	struct mux_op send_op;
	struct os_address peer;
	struct os_address bound;
	struct socket_file file;
};

struct client {
	struct echo *echo;
	struct connection connection;
	struct list_link link;
	bool leaving;
};

/* ---- streams ---- */

static void client_closed(struct connection *connection)
{
	struct client *client = container_of(connection, struct client, connection);
	struct echo *echo = client->echo;

	list_remove(&client->link);
	free(client);
	server_leave(&echo->server);
}

static void leave(struct client *client, const char *why, uint64_t patience)
{
	if (client->leaving)
		return;
	client->leaving = true;
	report_closed(&client->connection, why);
	stream_reset_at_exit(client->connection.stream, false);
	if (client->connection.stream->sending) /* cut short, and it shall know */
		connection_reset(&client->connection, 0, client_closed);
	else
		connection_close(&client->connection, patience, client_closed);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);

static void sent(struct stream *stream, ssize_t result)
{
	struct client *client = stream->owner;

	if (result < 0)
		leave(client, stream_error(stream, (int)result), 0);
	else if (client->echo->cmd.stopping)
		leave(client, "stopped", CMD_PATIENCE);
	else
		stream_recv(stream, received);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct client *client = stream->owner;

	if (n < 0)
		leave(client, stream_error(stream, (int)n), 0);
	else if (n == 0)
		leave(client, "end of file", 0); /* all is sent, so the close sends our end */
	else if (client->echo->cmd.options->discard)
		stream_recv(stream, received);
	else
		stream_send(stream, buf, data, (size_t)n, sent);
}

static void idle(struct stream *stream)
{
	leave(stream->owner, "idle", 0);
}

static void arrived(struct server *server, const struct transport *arrival)
{
	struct echo *echo = server->owner;
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		server_refuse(server, arrival);
		return;
	}
	if (!cmd_take(&echo->cmd, server, arrival, &client->connection)) {
		free(client);
		return;
	}
	client->echo = echo;
	echo->served++;
	list_add(&echo->clients, &client->link);
	client->connection.stream->owner = client;
	stream_watch_idle(client->connection.stream, echo->cmd.options->idle_timeout, idle);
	stream_recv(client->connection.stream, received);
}

/* ---- datagrams ---- */

static void datagram_received(struct mux_op *op, ssize_t n);

static void datagram_sent(struct mux_op *op, ssize_t result)
{
	struct echo *echo = container_of(op, struct echo, send_op);

	/* one that cannot be sent, or whose receiver is full, is lost as datagrams are */
	if (result == -ECANCELED)
		return;
	if (echo->cmd.stopping)
		mux_close(&echo->datagrams, NULL);
	else
		mux_recvfrom(&echo->datagrams, &echo->recv_op, &echo->peer, datagram_received);
}

static void datagram_received(struct mux_op *op, ssize_t n)
{
	struct echo *echo = container_of(op, struct echo, recv_op);
	char text[ADDRESS_TEXT];

	if (n == -ECANCELED)
		return;
	cmd_somebody_came(&echo->cmd);
	if (n == -EMSGSIZE)
		report_warning("recv %s: a datagram of over 64 KiB is dropped",
			address_socket_text(&echo->peer, text));
	if (n < 0 && !datagram_error_passes((int)n)) {
		report_error("recv: %s", os_error((int)n));
		cmd_fail(&echo->cmd, CMD_ERROR);
		return;
	}
	if (n < 0 || echo->cmd.options->discard || !echo->peer.length)
		mux_recvfrom(&echo->datagrams, op, &echo->peer, datagram_received);
	else
		mux_sendto(&echo->datagrams, &echo->send_op, op->buf, op->data, (size_t)n,
			&echo->peer, datagram_sent);
}

static bool serve_datagrams(struct echo *echo)
{
	const struct options *options = echo->cmd.options;
	mux_fd fd = datagram_bind(&options->address, &options->socket, &echo->bound, &echo->file);
	int error = fd < 0 ? fd : mux_attach(echo->cmd.mux, &echo->datagrams, fd, OS_SOCKET);

	if (error) {
		cmd_listen_failed(&echo->cmd, error);
		socket_file_remove(&echo->file);
		if (fd >= 0)
			os_close(fd, OS_SOCKET);
		return false;
	}
	mux_recvfrom(&echo->datagrams, &echo->recv_op, &echo->peer, datagram_received);
	if (cmd_announce(&echo->cmd, &echo->bound))
		return true;
	cmd_fail(&echo->cmd, CMD_ERROR);
	return false;
}

/* ---- the command ---- */

static void stop(struct cmd *cmd)
{
	struct echo *echo = container_of(cmd, struct echo, cmd);

	if (address_is_datagram(&cmd->options->address)) {
		socket_file_remove(&echo->file);
		if (!echo->datagrams.writing)
			mux_close(&echo->datagrams, NULL);
		return;
	}
	server_close(&echo->server);
	if (cmd->options->threads > 1)
		report_event(2, "a thread has served %llu connections",
			(unsigned long long)echo->served);
	list_each(link, echo->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->leaving)
			continue;
		if (client->connection.stream->sending)
			stream_reset_at_exit(client->connection.stream, true);
		else
			leave(client, "stopped", CMD_PATIENCE);
	}
}

/* As many as there are threads, the first of them the main one's. */
static void serve_streams(struct echo *echoes)
{
	struct cmd *main = &echoes->cmd;
	struct server *first = &echoes->server;

	if (!cmd_listen_on(main, first))
		return;
	for (size_t i = 1; i < main->options->threads; i++)
		if (!cmd_add_worker(main, first, &echoes[i].cmd, &echoes[i].server))
			return;
	if (!cmd_announce_server(main, first))
		cmd_stop(main);
}

int cmd_echo(const struct options *options)
{
	struct echo *echoes = calloc(options->threads, sizeof(*echoes));
	int status;

	if (!echoes) {
		report_error("out of memory");
		return CMD_ERROR;
	}
	for (size_t i = 0; i < options->threads; i++) {
		echoes[i].server.owner = &echoes[i];
		echoes[i].server.arrived = arrived;
	}
	status = cmd_open(&echoes->cmd, options, stop);
	if (!status) {
		if (address_is_datagram(&options->address))
			serve_datagrams(echoes);
		else
			serve_streams(echoes);
		status = cmd_run(&echoes->cmd);
	}
	free(echoes);
	return status;
}
