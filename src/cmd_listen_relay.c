#include "cmd_listen.h"
#include "list.h"

#include <stdlib.h>

/*
 * When one side of a datagram relay has ended, how long the other may be silent, in milliseconds.
 */
enum { DATAGRAM_LINGER = 1000 };

/* With -k, how long a datagram client is remembered unless -i says otherwise, in milliseconds. */
enum { DATAGRAM_IDLE = 60 * 1000 };

struct listen_relay {
	struct cmd cmd;
	struct server server;
	struct list_link *pairs; /* of struct relayed */
	bool taken;
};

/* A client, and the connection dialled for it. */
struct relayed {
	struct listen_relay *listen;
	struct connection client;
	struct connection target;
	struct dial *dial;
	struct relay relay;
	struct list_link link;
	int open; /* connections not closed yet */
	bool relaying;
};

static void free_if_closed(struct relayed *pair, const struct connection *connection)
{
	struct listen_relay *listen = pair->listen;

	if (!listen->cmd.options->keep_open)
		cmd_check_refused(&listen->cmd, connection);
	if (--pair->open)
		return;
	list_remove(&pair->link);
	free(pair);
	server_leave(&listen->server);
	if (!listen->pairs && (listen->cmd.stopping || !listen->cmd.options->keep_open))
		server_close(&listen->server);
}

static void client_closed(struct connection *connection)
{
	free_if_closed(container_of(connection, struct relayed, client), connection);
}

static void target_closed(struct connection *connection)
{
	free_if_closed(container_of(connection, struct relayed, target), connection);
}

/* Without -k it is why the program fails; with it, one connection of many has failed. */
static void report_failure(const struct relayed *pair)
{
	const struct relay *relay = &pair->relay;
	const struct options *options = pair->listen->cmd.options;
	const struct connection *at =
		relay->failed == pair->client.stream ? &pair->client : &pair->target;
	void (*report)(const char *format, ...) =
		options->keep_open ? report_warning : report_error;
	char text[ADDRESS_TEXT];

	address_socket_text(&at->peer, text);
	if (relay->reason == RELAY_FAILED)
		report("%s %s: %s", relay->failed_sending ? "send" : "recv", text,
			stream_error(at->stream, relay->error));
	else if (options->idle_timeout)
		report("%s: nothing moved for %g s", text, (double)options->idle_timeout / 1000);
}

static void relayed(struct relay *relay)
{
	struct relayed *pair = relay->owner;
	struct cmd *cmd = &pair->listen->cmd;

	pair->relaying = false;
	stream_reset_at_exit(pair->client.stream, false);
	stream_reset_at_exit(pair->target.stream, false);
	report_closed(&pair->client, cmd_relay_reason(relay));
	if (relay->reason == RELAY_ENDED) {
		connection_close(&pair->client, CMD_PATIENCE, client_closed);
		connection_close(&pair->target, CMD_PATIENCE, target_closed);
		return;
	}
	report_failure(pair);
	if (!cmd->options->keep_open)
		cmd->status = relay->reason == RELAY_IDLE ? CMD_TIMED_OUT : CMD_ERROR;
	/* neither side shall take a stream that was cut short for a whole one */
	connection_reset(&pair->client, CMD_PATIENCE, client_closed);
	connection_reset(&pair->target, CMD_PATIENCE, target_closed);
}

static void ended(struct relay *relay, enum relay_way way)
{
	const struct relayed *pair = relay->owner;
	bool rightward = way == RELAY_RIGHTWARD;
	const struct connection *from = rightward ? &pair->client : &pair->target;
	const struct connection *to = rightward ? &pair->target : &pair->client;
	bool half_closed = !to->stream->datagram && !(rightward && relay->policy.no_shutdown);
	char from_text[ADDRESS_TEXT], to_text[ADDRESS_TEXT];

	address_socket_text(&from->peer, from_text);
	address_socket_text(&to->peer, to_text);
	report_event(2, "%s: has ended; %s %s", from_text, to_text,
		half_closed ? "half-closed" : "stays open");
	if (rightward && relay->policy.linger >= 0)
		report_event(
			2, "%s: leaving in %g s", to_text, (double)relay->policy.linger / 1000);
}

static void turn_away(struct relayed *pair, const char *why)
{
	report_closed(&pair->client, why);
	connection_reset(&pair->client, 0, client_closed);
}

static void dialled(void *user, const struct dialled *dialled)
{
	struct relayed *pair = user;
	struct cmd *cmd = &pair->listen->cmd;
	const struct options *options = cmd->options;
	struct relay_policy policy = {
		.ended = ended,
		.no_shutdown = options->no_shutdown,
		.end_on_right_eof = options->exit_on_eof,
		.idle_timeout = options->idle_timeout,
		.linger = options->linger,
	};

	int status = cmd_dialled(cmd, options->to, dialled, &pair->target);

	pair->dial = NULL;
	if (status) {
		if (!options->keep_open)
			cmd->status = status;
		turn_away(pair, "no target");
		return;
	}
	pair->open++;
	pair->relaying = true;
	/* a datagram client never ends, and may be forged: it must not keep a socket for ever */
	if (options->keep_open && pair->client.stream->datagram && !policy.idle_timeout)
		policy.idle_timeout = DATAGRAM_IDLE;
	if (policy.linger == OPTION_LINGER_UNSET)
		policy.linger = pair->target.stream->datagram ? DATAGRAM_LINGER : -1;
	relay_start(&pair->relay, pair->client.stream, pair->target.stream, &policy, relayed, pair);
}

static void arrived(struct server *server, const struct transport *arrival)
{
	struct listen_relay *listen = server->owner;
	const struct options *options = listen->cmd.options;
	struct relayed *pair;

	if (listen->taken && !options->keep_open) {
		server_refuse(server, arrival);
		return;
	}
	pair = calloc(1, sizeof(*pair));
	if (!pair) {
		cmd_refuse(server, arrival);
		return;
	}
	if (!cmd_take(&listen->cmd, server, arrival, &pair->client)) {
		free(pair);
		return;
	}
	listen->taken = true;
	if (!options->keep_open)
		server_stop(server);
	pair->listen = listen;
	pair->open = 1;
	list_add(&listen->pairs, &pair->link);
	pair->dial = cmd_dial(&listen->cmd, options->to, 0, dialled, pair);
	if (pair->dial)
		return;
	if (!options->keep_open)
		listen->cmd.status = CMD_ERROR;
	turn_away(pair, "no target");
}

static void stop(struct cmd *cmd)
{
	struct listen_relay *listen = container_of(cmd, struct listen_relay, cmd);

	server_stop(&listen->server);
	if (!listen->pairs)
		server_close(&listen->server);
	list_each(link, listen->pairs) {
		struct relayed *pair = container_of(link, struct relayed, link);

		if (pair->relaying) {
			stream_reset_at_exit(pair->client.stream, true);
			stream_reset_at_exit(pair->target.stream, true);
			relay_drain(&pair->relay);
		} else if (pair->dial) {
			dial_cancel(pair->dial);
			pair->dial = NULL;
			turn_away(pair, "stopped");
		}
	}
}

int cmd_listen_relay(const struct options *options)
{
	struct listen_relay listen = { .server = { .owner = &listen, .arrived = arrived } };
	int status = cmd_open(&listen.cmd, options, stop);

	if (status)
		return status;
	cmd_serve(&listen.cmd, &listen.server);
	return cmd_run(&listen.cmd);
}
