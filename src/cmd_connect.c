#include "cmd_join.h"

struct connect {
	struct cmd cmd;
	struct cmd_join join;
	struct dial *dial;
};

static void dialled(void *user, int error, mux_fd fd, const struct os_address *peer)
{
	struct connect *connect = user;
	struct cmd *cmd = &connect->cmd;
	const struct options *options = cmd->options;

	connect->dial = NULL;
	if (!error) {
		error = connection_open_socket(
			&connect->join.connection, cmd->mux, fd, peer, options->address.scheme);
		if (error)
			os_close(fd, OS_SOCKET);
	}
	if (error) {
		cmd->status = cmd_dial_failed(&options->address, error);
		return;
	}
	report_connected(&connect->join.connection);
	if (options->zero)
		connection_close(&connect->join.connection, 0, NULL);
	else
		cmd_join_start(&connect->join, cmd);
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
	struct connect connect = { 0 };
	int status = cmd_open(&connect.cmd, options, stop);

	if (status)
		return status;
	connect.dial = dial_start(connect.cmd.mux, &options->address, &options->socket,
		options->timeout, dialled, &connect);
	if (!connect.dial) {
		report_error("out of memory");
		return CMD_ERROR;
	}
	return cmd_run(&connect.cmd);
}
