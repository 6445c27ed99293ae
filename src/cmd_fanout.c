#include "chat.h"
#include "cmd.h"
#include "hub.h"
#include "list.h"
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client;
struct target;

struct fanout {
	struct cmd cmd;
	struct server server;
	struct hub hub;
	struct list_link *clients; /* of struct client */
	struct target *targets;    /* what --to dials */
	bool started;              /* min_clients have been there */
	struct stdio_stream stdio;
	struct connection source; /* --from */
	struct dial *source_dial;
	struct stream *input; /* stdin or the source, once it is open; NULL with --broker */
	bool serving;
	bool cut_short; /* nobody is given everything any more */
};

struct target {
	struct fanout *fanout;
	const struct address *address;
	struct dial *dial;
	struct client *client; /* what it will be */
};

struct client {
	struct fanout *fanout;
	struct connection connection;
	struct hub_subscriber subscriber;
	struct list_link link;
	struct chat chat;
	bool dialled;
	bool paused; /* --broker: not receiving until the hub has room */
	bool leaving;
};

static struct client *client_of(struct stream *stream)
{
	return container_of(stream->owner, struct client, subscriber);
}

static bool is_broker(const struct fanout *fanout)
{
	return fanout->cmd.options->broker;
}

static bool is_dialling(const struct fanout *fanout)
{
	for (size_t i = 0; fanout->targets && i < fanout->cmd.options->to_count; i++)
		if (fanout->targets[i].dial)
			return true;
	return false;
}

/* ---- leaving ---- */

static void client_closed(struct connection *connection)
{
	struct client *client = container_of(connection, struct client, connection);
	struct fanout *fanout = client->fanout;

	if (client->dialled)
		cmd_check_refused(&fanout->cmd, connection);
	list_remove(&client->link);
	chat_close(&client->chat);
	if (fanout->serving && !client->dialled)
		server_leave(&fanout->server);
	free(client);
	/* whom it dialled were all it had to feed */
	if (!fanout->serving && !fanout->clients && !fanout->hub.finished && !is_dialling(fanout))
		cmd_fail(&fanout->cmd, CMD_ERROR);
}

/* Closed if it has had the whole; else it shall know that it has not. */
static void leave(struct client *client, const char *why, uint64_t patience, bool whole)
{
	if (client->leaving)
		return;
	client->leaving = true;
	if (client->subscriber.dropped)
		report_warning("%llu records dropped for a slow subscriber",
			(unsigned long long)client->subscriber.dropped);
	report_closed(&client->connection, why);
	if (whole)
		connection_close(&client->connection, patience, client_closed);
	else
		connection_reset(&client->connection, patience, client_closed);
}

static void flushed(struct hub_subscriber *subscriber)
{
	struct client *client = container_of(subscriber, struct client, subscriber);
	const struct fanout *fanout = client->fanout;

	hub_unsubscribe(subscriber);
	stream_reset_at_exit(client->connection.stream, false);
	leave(client, fanout->cmd.stopping || fanout->cut_short ? "stopped" : "end of file",
		fanout->hub.policy.stall, !fanout->cut_short);
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct client *client = container_of(subscriber, struct client, subscriber);
	const struct hub_policy *policy = &client->fanout->hub.policy;
	char text[ADDRESS_TEXT];

	/* whom it dialled was to have everything */
	void (*report)(const char *format, ...) = client->dialled ? report_error : report_warning;

	if (client->dialled)
		client->fanout->cmd.status = CMD_ERROR;
	const char *why = stream_error(client->connection.stream, error);

	address_socket_text(&client->connection.peer, text);
	if (error == -ETIME)
		report("%s: cut off, it took nothing for %g s", text, (double)policy->stall / 1000);
	else if (error == HUB_LAGS)
		report("%s: cut off, it lags by more than %llu bytes", text,
			(unsigned long long)policy->queue);
	else if (client->dialled)
		report("send %s: %s", text, why);
	leave(client, error == -ETIME || error == HUB_LAGS ? "too slow" : why, 0, false);
}

static void idle(struct stream *stream)
{
	struct client *client = client_of(stream);

	hub_unsubscribe(&client->subscriber);
	if (client->dialled) {
		struct cmd *cmd = &client->fanout->cmd;
		char text[ADDRESS_TEXT];

		report_error("%s: nothing moved for %g s",
			address_socket_text(&client->connection.peer, text),
			(double)cmd->options->idle_timeout / 1000);
		cmd->status = CMD_TIMED_OUT;
	}
	leave(client, "idle", 0, false);
}

/* ---- the input ---- */

static void pull(struct fanout *fanout);

static void close_input(struct fanout *fanout, const char *why)
{
	struct stream *input = fanout->input;

	fanout->input = NULL;
	if (fanout->source_dial)
		dial_cancel(fanout->source_dial);
	fanout->source_dial = NULL;
	if (input == &fanout->stdio.handle.stream) {
		stream_close(input, NULL);
	} else if (input) {
		report_closed(&fanout->source, why);
		connection_close(&fanout->source, 0, NULL);
	}
}

/* Whom --to names and is not there yet has missed it all. */
static void cancel_dials(struct fanout *fanout)
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; fanout->targets && i < fanout->cmd.options->to_count; i++) {
		struct target *target = &fanout->targets[i];

		if (!target->dial)
			continue;
		dial_cancel(target->dial);
		target->dial = NULL;
		free(target->client);
		if (fanout->cmd.stopping)
			continue;
		report_error("connect %s: not there before the input's end",
			address_text(target->address, text));
		fanout->cmd.status = CMD_ERROR;
	}
}

/* Nothing more comes in: nobody new is served, and the loop ends when everybody has it all. */
static void finish(struct fanout *fanout, const char *why)
{
	close_input(fanout, why);
	cancel_dials(fanout);
	if (fanout->serving)
		server_close(&fanout->server);
	if (!fanout->hub.finished)
		hub_finish(&fanout->hub);
}

static void input_failed(struct fanout *fanout, int error)
{
	const char *why = stream_error(fanout->input, error);
	char text[ADDRESS_TEXT];

	if (fanout->input == &fanout->stdio.handle.stream)
		report_error("stdin: %s", why);
	else
		report_error("recv %s: %s", address_socket_text(&fanout->source.peer, text), why);
	fanout->cmd.status = CMD_ERROR;
	fanout->cut_short = true;
	finish(fanout, why);
}

static void input_received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct fanout *fanout = stream->owner;
	int error = n < 0 ? (int)n : 0;

	if (n > 0)
		error = hub_publish(&fanout->hub, buf, data, (size_t)n, NULL);
	if (error)
		input_failed(fanout, error);
	else if (n == 0)
		finish(fanout, "end of file");
	else
		pull(fanout);
}

static void pull(struct fanout *fanout)
{
	struct stream *input = fanout->input;

	if (fanout->hub.count >= fanout->cmd.options->min_clients)
		fanout->started = true;
	if (!input || input->receiving || !fanout->started)
		return;
	if (hub_has_room(&fanout->hub))
		stream_recv(input, input_received);
}

/* Whoever is there shall not take what it has for the whole. */
static void fail(struct fanout *fanout, int status)
{
	fanout->cut_short = true;
	cmd_fail(&fanout->cmd, status);
}

static void source_dialled(void *user, const struct dialled *dialled)
{
	struct fanout *fanout = user;
	struct cmd *cmd = &fanout->cmd;
	int status = cmd_dialled(cmd, &cmd->options->from, dialled, &fanout->source);

	fanout->source_dial = NULL;
	if (status) {
		fail(fanout, status);
		return;
	}
	fanout->input = fanout->source.stream;
	fanout->input->owner = fanout;
	pull(fanout);
}

/* ---- what subscribers send: to all others with --broker, else nowhere ---- */

static void gone(struct stream *stream)
{
	struct client *client = client_of(stream);

	hub_unsubscribe(&client->subscriber);
	if (client->dialled)
		cut(&client->subscriber, -EPIPE);
	else
		leave(client, "end of file", 0, false);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n);

static void listen_to(struct client *client)
{
	client->paused = is_broker(client->fanout) && !hub_has_room(&client->fanout->hub);
	if (!client->paused)
		stream_recv(client->connection.stream, received);
}

/* A message is lost for want of memory: nobody shall take what comes behind it for the whole. */
static void lose(struct fanout *fanout, int error)
{
	report_warning("a message is lost: %s", os_error(error));
	list_each(link, fanout->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->leaving)
			continue;
		hub_unsubscribe(&client->subscriber);
		cut(&client->subscriber, error);
	}
}

/* What a subscriber has sent, to all others; `end`: it sends nothing more. */
static void pass_on(
	struct client *client, struct mux_buf *buf, const unsigned char *data, size_t n, bool end)
{
	struct hub *hub = &client->fanout->hub;
	struct mux_buf *lines = NULL;
	int error = 0;

	if (hub->finished)
		return;
	if (client->fanout->cmd.options->chat) {
		error = chat_take(&client->chat, client->subscriber.id, data, n, end, &lines, &n);
		buf = lines;
		data = lines ? lines->data : NULL;
	}
	if (n) {
		int lost = hub_publish(hub, buf, data, n, &client->subscriber);

		error = lost ? lost : error;
	}
	mux_buf_unref(lines);
	if (error)
		lose(client->fanout, error);
}

static void received(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, ssize_t n)
{
	struct client *client = client_of(stream);

	bool end = n == STREAM_TRUNCATED || (n == 0 && !stream->datagram);

	if (n < 0 && !end) {
		hub_unsubscribe(&client->subscriber);
		cut(&client->subscriber, (int)n);
		return;
	}
	if (is_broker(client->fanout))
		pass_on(client, buf, data, n > 0 ? (size_t)n : 0, end);
	if (client->leaving)
		return;
	if (end) /* it may still listen, or have left */
		stream_watch_gone(stream, gone);
	else
		listen_to(client);
}

static void room(struct hub *hub)
{
	struct fanout *fanout = hub->owner;

	pull(fanout);
	list_each(link, fanout->clients) {
		struct client *client = container_of(link, struct client, link);

		if (client->paused && !client->leaving)
			listen_to(client);
	}
}

/* ---- subscribers ---- */

static void subscribe(struct fanout *fanout, struct client *client)
{
	client->fanout = fanout;
	list_add(&fanout->clients, &client->link);
	hub_subscribe(&fanout->hub, &client->subscriber, client->connection.stream);
	stream_watch_idle(client->connection.stream, fanout->cmd.options->idle_timeout, idle);
	listen_to(client);
	pull(fanout);
}

static void arrived(struct server *server, const struct transport *arrival)
{
	struct fanout *fanout = server->owner;
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		cmd_refuse(server, arrival);
	else if (cmd_take(&fanout->cmd, server, arrival, &client->connection))
		subscribe(fanout, client);
	else
		free(client);
}

static void target_dialled(void *user, const struct dialled *dialled)
{
	struct target *target = user;
	struct fanout *fanout = target->fanout;
	struct client *client = target->client;
	int status = cmd_dialled(&fanout->cmd, target->address, dialled, &client->connection);

	target->dial = NULL;
	target->client = NULL;
	if (status) {
		free(client);
		fail(fanout, status);
		return;
	}
	client->dialled = true;
	subscribe(fanout, client);
}

/* False after a reported failure. */
static bool dial_target(struct target *target)
{
	struct cmd *cmd = &target->fanout->cmd;

	target->client = calloc(1, sizeof(*target->client));
	if (!target->client) {
		report_error("out of memory");
		return false;
	}
	target->dial = cmd_dial(cmd, target->address, 0, target_dialled, target);
	if (!target->dial)
		free(target->client);
	return target->dial;
}

static bool dial_targets(struct fanout *fanout)
{
	const struct options *options = fanout->cmd.options;

	fanout->targets = calloc(options->to_count, sizeof(*fanout->targets));
	if (!fanout->targets) {
		report_error("out of memory");
		return false;
	}
	for (size_t i = 0; i < options->to_count; i++) {
		struct target *target = &fanout->targets[i];

		target->fanout = fanout;
		target->address = &options->to[i];
		if (!dial_target(target))
			return false;
	}
	return true;
}

/* ---- the command ---- */

static void stop(struct cmd *cmd)
{
	struct fanout *fanout = container_of(cmd, struct fanout, cmd);

	list_each(link, fanout->clients) {
		struct client *client = container_of(link, struct client, link);

		if (!client->leaving)
			stream_reset_at_exit(client->connection.stream, true);
	}
	finish(fanout, "stopped");
}

static bool open_input(struct fanout *fanout)
{
	const struct options *options = fanout->cmd.options;

	if (options->broker)
		return true;
	if (options->has_from) {
		fanout->source_dial =
			cmd_dial(&fanout->cmd, &options->from, 0, source_dialled, fanout);
		return fanout->source_dial;
	}

	int error = stream_open_stdio(fanout->cmd.mux, &fanout->stdio);

	if (error) {
		report_error("stdin, stdout: %s", os_error(error));
		return false;
	}
	fanout->input = &fanout->stdio.handle.stream;
	fanout->input->owner = fanout;
	pull(fanout);
	return true;
}

int cmd_fanout(const struct options *options)
{
	struct fanout fanout = {
		.server = { .owner = &fanout, .arrived = arrived },
		.hub = { .owner = &fanout, .room = room, .flushed = flushed, .cut = cut },
	};
	struct cmd *cmd = &fanout.cmd;
	int status = cmd_open(cmd, options, stop);
	bool started;

	if (status)
		return status;
	if (hub_open(&fanout.hub, cmd->mux, &options->hub) < 0) {
		report_error("out of memory");
		cmd->status = CMD_ERROR;
		return cmd_run(cmd);
	}
	if (options->to_count)
		started = dial_targets(&fanout);
	else
		started = fanout.serving = cmd_serve(cmd, &fanout.server);
	if (!started || !open_input(&fanout))
		fail(&fanout, CMD_ERROR);
	status = cmd_run(cmd);
	hub_close(&fanout.hub);
	free(fanout.targets);
	return status;
}
