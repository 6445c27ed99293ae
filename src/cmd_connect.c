#include "cmd_join.h"

struct connect {
	struct cmd cmd;
	struct cmd_join join;
	struct dial *dial;
};

static void tried(struct connection *connection)
{
	struct cmd_join *join = container_of(connection, struct cmd_join, connection);

	cmd_check_refused(&container_of(join, struct connect, join)->cmd, connection);
}

static void dialled(void *user, const struct dialled *dialled)
{
	struct connect *connect = user;
	struct cmd *cmd = &connect->cmd;
	struct connection *connection = &connect->join.connection;

	connect->dial = NULL;
	cmd->status = cmd_dialled(cmd, &cmd->options->address, dialled, connection);
	if (cmd->status)
		return;
	if (!cmd->options->zero) {
		cmd_join_start(&connect->join, cmd);
		return;
	}
	report_closed(connection, "-z");
	/* a TLS server's first words, unread, would make a reset of the close */
	connection_close(connection, connection->tls ? CMD_PATIENCE : 0, tried);
}

static void stop(struct cmd *cmd)
{
	struct connect *connect = container_of(cmd, struct connect, cmd);

	if (connect->dial)
		dial_cancel(connect->dial);
	connect->dial = NULL;
	cmd_join_stop(&connect->join);
}

int cmd_connect(const struct options *options)
{
	struct connect connect = { .cmd = { .joins = true } };
	int status = cmd_open(&connect.cmd, options, stop);

	if (status)
		return status;
	connect.dial =
		cmd_dial(&connect.cmd, &options->address, options->timeout, dialled, &connect);
	if (!connect.dial)
		return CMD_ERROR;
	return cmd_run(&connect.cmd);
}
