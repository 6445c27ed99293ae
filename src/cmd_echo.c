#include "cmd_echo.h"
#include "cmd_worker.h"

#include <errno.h>
#include <stdlib.h>

struct echo {
	struct cmd cmd;
	struct server server;
	struct list_link *clients; /* of struct client */
	size_t served;             /* clients so far */
};

struct client {
	struct echo *echo;
	struct connection connection;
	struct list_link link;
	bool cut_short;
	bool leaving;
};

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
	if (client->echo->cmd.stopping)
		stream_reset_at_exit(client->connection.stream, false);
	if (client->cut_short || client->connection.stream->sending) /* it shall know */
		connection_reset(&client->connection, 0, client_closed);
	else
		connection_close(&client->connection, patience, client_closed);
}

/* An end that came without TLS's close_notify is one all the same. */
static void fail(struct client *client, int error)
{
	client->cut_short = error != STREAM_TRUNCATED;
	leave(client, stream_error(client->connection.stream, error), 0);
}

static void receive_ended(struct client *client, ssize_t n)
{
	if (n < 0)
		fail(client, (int)n);
	else
		leave(client, "end of file", 0); /* all is sent, so the close sends our end */
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);

static void sent(struct stream *stream, ssize_t result)
{
	struct client *client = stream->owner;

	if (result < 0)
		fail(client, (int)result);
	else if (client->echo->cmd.stopping)
		leave(client, "stopped", CMD_PATIENCE);
	else
		stream_recv(stream, received);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	if (n <= 0)
		receive_ended(stream->owner, n);
	else if (stream_send_now(stream, buf, data, (size_t)n, sent))
		stream_recv(stream, received);
}

static void dropped(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	(void)buf;
	(void)data;
	if (n <= 0)
		receive_ended(stream->owner, n);
	else
		stream_recv(stream, dropped);
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
		cmd_refuse(server, arrival);
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
	stream_recv(client->connection.stream, echo->cmd.options->discard ? dropped : received);
}

static void stop(struct cmd *cmd)
{
	struct echo *echo = container_of(cmd, struct echo, cmd);

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
static void serve(struct echo *echoes)
{
	struct cmd *main = &echoes->cmd;
	struct server *first = &echoes->server;

	if (!cmd_listen_on(main, first))
		return;
	for (size_t i = 1; i < main->options->threads; i++)
		if (!cmd_add_worker(main, first, &echoes[i].cmd, &echoes[i].server))
			return;
	if (!cmd_announce_server(main, first))
		cmd_fail(main, CMD_ERROR); /* the workers may serve somebody already */
}

int cmd_echo(const struct options *options)
{
	struct echo *echoes;
	int status;

	if (address_is_datagram(&options->address))
		return cmd_echo_datagrams(options);
	echoes = calloc(options->threads, sizeof(*echoes));
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
		serve(echoes);
		status = cmd_run(&echoes->cmd);
	}
	free(echoes);
	return status;
}
