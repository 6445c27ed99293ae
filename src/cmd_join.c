#include "cmd_join.h"

#include "resolve.h"

/* How long a datagram peer may be silent after stdin's end, unless -q says otherwise. */
enum { DATAGRAM_LINGER = 1000 };

static void ended(struct relay *relay, enum relay_way way)
{
	struct cmd_join *join = relay->owner;
	const struct relay_policy *policy = &relay->policy;
	char text[ADDRESS_TEXT];

	address_socket_text(&join->connection.peer, text);
	if (way == RELAY_LEFTWARD) {
		report_event(
			2, "%s: has ended%s", text, policy->discard[way] ? "" : "; stdout closed");
		return;
	}
	report_event(2, "%s: stdin has ended%s", text,
		policy->no_shutdown || relay->right->datagram ? "" : "; half-closed");
	if (policy->linger >= 0)
		report_event(2, "%s: leaving in %g s", text, (double)policy->linger / 1000);
}

static void set_policy(struct relay_policy *policy, const struct options *options, bool datagram)
{
	policy->ended = ended;
	policy->closed[RELAY_RIGHTWARD] = options->no_stdin || options->recv_only;
	policy->discard[RELAY_LEFTWARD] = options->send_only;
	policy->no_shutdown = options->no_shutdown;
	policy->end_on_right_eof = options->exit_on_eof || stream_input_is_terminal();
	policy->end_on_left_eof = options->send_only;
	policy->idle_timeout = options->idle_timeout;
	policy->linger = options->linger;
	if (options->linger == OPTION_LINGER_UNSET)
		policy->linger = datagram ? DATAGRAM_LINGER : -1;
}

static void closed(struct connection *connection)
{
	struct cmd_join *join = container_of(connection, struct cmd_join, connection);

	cmd_check_refused(join->cmd, connection);
	if (join->over)
		join->over(join);
}

static void report_failure(struct cmd_join *join)
{
	const struct relay *relay = &join->relay;
	char text[ADDRESS_TEXT];

	if (relay->failed == &join->stdio.handle.stream && relay->failed_sending) {
		cmd_stdout_failed(join->cmd, relay->error);
		return;
	}
	if (relay->failed == &join->stdio.handle.stream)
		report_error("stdin: %s", stream_error(relay->failed, relay->error));
	else
		report_error("%s %s: %s", relay->failed_sending ? "send" : "recv",
			address_socket_text(&join->connection.peer, text),
			stream_error(relay->failed, relay->error));
	join->cmd->status = CMD_ERROR;
}

static void relayed(struct relay *relay)
{
	struct cmd_join *join = relay->owner;
	char text[ADDRESS_TEXT];

	join->relaying = false;
	stream_reset_at_exit(join->connection.stream, false);
	report_closed(&join->connection, cmd_relay_reason(relay));
	stream_close(&join->stdio.handle.stream, NULL);
	/* a peer whose end was missing has been sent everything */
	if (relay->reason == RELAY_ENDED || relay->error == STREAM_TRUNCATED)
		connection_close(&join->connection, CMD_PATIENCE, closed);
	else /* the peer shall not take what was cut short for a whole */
		connection_reset(&join->connection, CMD_PATIENCE, closed);
	if (relay->reason == RELAY_FAILED) {
		report_failure(join);
	} else if (relay->reason == RELAY_IDLE) {
		report_error("%s: nothing moved for %g s",
			address_socket_text(&join->connection.peer, text),
			(double)join->cmd->options->idle_timeout / 1000);
		join->cmd->status = CMD_TIMED_OUT;
	}
}

void cmd_join_start(struct cmd_join *join, struct cmd *cmd)
{
	struct relay_policy policy = { 0 };
	int error = stream_open_stdio(cmd->mux, &join->stdio);

	join->cmd = cmd;
	if (error) {
		report_error("stdin, stdout: %s", os_error(error));
		/* it has had nothing, which is not an end */
		connection_reset(&join->connection, 0, closed);
		cmd_fail(cmd, CMD_ERROR);
		return;
	}
	cmd_confine_files();
	set_policy(&policy, cmd->options, join->connection.stream->datagram);
	join->relaying = true;
	relay_start(&join->relay, &join->stdio.handle.stream, join->connection.stream, &policy,
		relayed, join);
}

void cmd_join_stop(struct cmd_join *join)
{
	if (!join->relaying)
		return;
	stream_reset_at_exit(join->connection.stream, true);
	relay_drain(&join->relay);
}
