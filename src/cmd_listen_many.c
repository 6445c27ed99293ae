#include "cmd_listen.h"
#include "funnel.h"
#include "hub.h"
#include "list.h"

#include <errno.h>
#include <stdlib.h>

struct listen_many {
	struct cmd cmd;
	struct server server;
	struct stdio_stream stdio;
	struct hub hub;            /* stdin to every client */
	struct funnel funnel;      /* what clients send to stdout */
	struct list_link *clients; /* of struct client */
	struct mux_timer linger;   /* -q */
	size_t unserved;           /* clients that have not been sent everything */
	bool stdio_open;
	bool failed; /* stdin or stdout: no client shall take what it got, or gave, for the whole */
};

struct client {
	struct listen_many *listen;
	struct connection connection;
	struct hub_subscriber subscriber;
	struct funnel_source source;
	struct list_link link;
	bool subscribed;
	bool ended;     /* it has sent its end */
	bool served;    /* it has been sent all there is, and our end */
	bool cut_short; /* it takes no more, and shall not take what it has for the whole */
	bool leaving;
	bool closed; /* but the funnel has not written all it sent */
};

static struct client *client_of(struct stream *stream)
{
	return container_of(stream->owner, struct client, subscriber);
}

/* ---- leaving ---- */

/* stdin and stdout are closed when nobody needs them any more, so that the loop can end. */
static void close_if_over(struct listen_many *listen)
{
	if (!listen->cmd.stopping || listen->clients)
		return;
	server_close(&listen->server);
	if (listen->stdio_open) {
		funnel_close(&listen->funnel);
		stream_close(&listen->stdio.handle.stream, NULL);
		listen->stdio_open = false;
	}
}

static void free_client(struct client *client)
{
	struct listen_many *listen = client->listen;

	list_remove(&client->link);
	free(client);
	server_leave(&listen->server);
	close_if_over(listen);
}

static void client_closed(struct connection *connection)
{
	struct client *client = container_of(connection, struct client, connection);

	client->closed = true;
	if (!client->source.waiting)
		free_client(client);
}

static void linger_over(struct mux_timer *timer)
{
	cmd_stop(&container_of(timer, struct listen_many, linger)->cmd);
}

/* -q counts from when everybody has been sent all there is. */
static void linger_if_served(struct listen_many *listen)
{
	int64_t linger = listen->cmd.options->linger;

	if (listen->hub.finished && !listen->unserved && !listen->cmd.stopping && linger >= 0 &&
		!mux_timer_armed(&listen->linger))
		mux_timer_start(listen->cmd.mux, &listen->linger, (uint64_t)linger, linger_over);
}

static void set_served(struct client *client)
{
	if (!client->served)
		client->listen->unserved--;
	client->served = true;
	linger_if_served(client->listen);
}

/* What it has sent and is not written yet is still written. Without patience it is reset. */
static void leave(struct client *client, const char *why, uint64_t patience)
{
	if (client->leaving)
		return;
	client->leaving = true;
	if (client->subscribed)
		hub_unsubscribe(&client->subscriber);
	client->subscribed = false;
	set_served(client);
	report_closed(&client->connection, why);
	if (patience && !client->cut_short && !client->listen->failed)
		connection_close(&client->connection, patience, client_closed);
	else
		connection_reset(&client->connection, patience, client_closed);
}

static void leave_if_done(struct client *client)
{
	const struct options *options = client->listen->cmd.options;
	bool nothing_to_send = options->no_stdin || options->recv_only || client->served;

	if (!client->ended ||
		!(nothing_to_send || options->exit_on_eof || stream_input_is_terminal()))
		return;
	client->cut_short = client->subscribed && hub_is_behind(&client->subscriber);
	leave(client, "end of file", CMD_PATIENCE);
}

/* ---- from the clients to stdout ---- */

static void gone(struct stream *stream)
{
	leave(client_of(stream), "end of file", 0);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct client *client = client_of(stream);
	struct listen_many *listen = client->listen;

	if (n < 0) {
		char text[ADDRESS_TEXT];

		report_warning("recv %s: %s", address_socket_text(&client->connection.peer, text),
			stream_error(stream, (int)n));
	}
	if (n < 0 && n != STREAM_TRUNCATED) {
		leave(client, stream_error(stream, (int)n), 0);
	} else if (n < 0 || (n == 0 && !stream->datagram)) {
		client->ended = true;
		stream_watch_gone(stream, gone);
		leave_if_done(client);
	} else if (n == 0 || listen->cmd.options->send_only) {
		stream_recv(stream, received);
	} else {
		int error = funnel_put(&listen->funnel, &client->source, buf, data, (size_t)n);

		if (error)
			leave(client, os_error(error), 0);
	}
}

static void written(struct funnel_source *source)
{
	struct client *client = container_of(source, struct client, source);

	if (client->closed)
		free_client(client);
	else if (client->leaving)
		return;
	else if (!client->listen->cmd.stopping)
		stream_recv(client->connection.stream, received);
	else if (client->served)
		leave(client, "stopped", CMD_PATIENCE);
}

static void stdout_failed(struct funnel *funnel, int error)
{
	struct listen_many *listen = funnel->owner;

	listen->failed = true;
	funnel_close(funnel);
	list_each(link, listen->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->closed) /* it was only kept for what it had sent */
			free_client(client);
	}
	cmd_stdout_failed(&listen->cmd, error);
}

/* ---- from stdin to the clients ---- */

static void pull(struct listen_many *listen);

static void input_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct funnel *funnel = stream->owner;
	struct listen_many *listen = funnel->owner;
	int error = n < 0 ? (int)n : 0;

	if (n > 0)
		error = hub_publish(&listen->hub, buf, data, (size_t)n, NULL);
	if (error) {
		report_error("stdin: %s", os_error(error));
		listen->failed = true;
		cmd_fail(&listen->cmd, CMD_ERROR);
	} else if (n > 0) {
		pull(listen);
	} else {
		hub_finish(&listen->hub);
		linger_if_served(listen);
	}
}

/* Without a client there is nobody to read it for: it waits, as it does for one that is slow. */
static void pull(struct listen_many *listen)
{
	struct stream *input = &listen->stdio.handle.stream;

	if (input->receiving || input->ended || listen->cmd.stopping || !listen->hub.count)
		return;
	if (hub_has_room(&listen->hub))
		stream_recv(input, input_received);
}

static void room(struct hub *hub)
{
	pull(hub->owner);
}

static void flushed(struct hub_subscriber *subscriber)
{
	struct client *client = container_of(subscriber, struct client, subscriber);
	struct listen_many *listen = client->listen;

	set_served(client);
	client->cut_short = listen->failed;
	stream_reset_at_exit(client->connection.stream, client->cut_short);
	if (!listen->cmd.options->no_shutdown && !client->cut_short)
		stream_shutdown(client->connection.stream);
	if (listen->cmd.stopping && !client->source.waiting)
		leave(client, "stopped", CMD_PATIENCE);
	else
		leave_if_done(client);
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct client *client = container_of(subscriber, struct client, subscriber);
	char text[ADDRESS_TEXT];

	client->subscribed = false;
	if (error == -ETIME) {
		report_warning("%s: cut off, it took nothing for %g s",
			address_socket_text(&client->connection.peer, text),
			(double)client->listen->hub.policy.stall / 1000);
		leave(client, "too slow", 0);
	} else if (client->ended || stream_failed_here(error)) {
		leave(client, stream_error(client->connection.stream, error), 0);
	} else {
		client->cut_short = true; /* but what it has sent comes before the reset */
		set_served(client);
	}
}

static void idle(struct stream *stream)
{
	leave(client_of(stream), "idle", 0);
}

/* ---- arriving ---- */

static void arrived(struct server *server, const struct transport *arrival)
{
	struct listen_many *listen = server->owner;
	const struct options *options = listen->cmd.options;
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		cmd_refuse(server, arrival);
		return;
	}
	if (!cmd_take(&listen->cmd, server, arrival, &client->connection)) {
		free(client);
		return;
	}
	client->listen = listen;
	list_add(&listen->clients, &client->link);
	client->subscribed = true;
	listen->unserved++;
	hub_subscribe(&listen->hub, &client->subscriber, client->connection.stream);
	stream_watch_idle(client->connection.stream, options->idle_timeout, idle);
	stream_recv(client->connection.stream, received);
	if (!options->no_stdin && !options->recv_only)
		pull(listen);
}

/* ---- the command ---- */

static void stop(struct cmd *cmd)
{
	struct listen_many *listen = container_of(cmd, struct listen_many, cmd);

	mux_timer_stop(&listen->linger);
	server_stop(&listen->server);
	stream_stop_recv(&listen->stdio.handle.stream);
	list_each(link, listen->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->leaving)
			continue;
		stream_stop_recv(client->connection.stream);
		stream_reset_at_exit(
			client->connection.stream, !client->served || client->cut_short);
	}
	if (!listen->hub.finished)
		hub_finish(&listen->hub);
	list_each(link, listen->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->served && !client->source.waiting)
			leave(client, "stopped", CMD_PATIENCE);
	}
	close_if_over(listen);
}

int cmd_listen_many(const struct options *options)
{
	struct listen_many listen = {
		.server = { .owner = &listen, .arrived = arrived },
		.hub = { .owner = &listen, .room = room, .flushed = flushed, .cut = cut },
		.funnel = { .owner = &listen, .written = written, .failed = stdout_failed },
	};
	struct cmd *cmd = &listen.cmd;
	int status = cmd_open(cmd, options, stop);
	int error = 0;

	if (status)
		return status;
	if (cmd_serve(cmd, &listen.server)) {
		error = hub_open(&listen.hub, cmd->mux, &options->hub);
		if (!error)
			error = stream_open_stdio(cmd->mux, &listen.stdio);
		if (error) {
			report_error("stdin, stdout: %s", os_error(error));
			server_close(&listen.server);
			return CMD_ERROR;
		}
		listen.stdio_open = true;
		funnel_open(&listen.funnel, &listen.stdio.handle.stream);
	}
	status = cmd_run(cmd);
	hub_close(&listen.hub);
	return status;
}
