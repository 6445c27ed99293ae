/* One connection joined with stdin and stdout: what connect does, and listen without -k. */
#ifndef MUXCAT_CMD_JOIN_H
#define MUXCAT_CMD_JOIN_H

#include "cmd.h"

struct cmd_join;
typedef void cmd_join_over(struct cmd_join *join);

struct cmd_join {
	struct connection connection; /* opened by the caller */
	cmd_join_over *over;          /* the connection is closed */
	void *owner;
	/* ---- */
	struct cmd *cmd;
	struct stdio_stream stdio;
	struct relay relay;
	bool relaying;
};

/* Join, as the options say. Reports and sets the status when it is over; `over` may be NULL. */
void cmd_join_start(struct cmd_join *join, struct cmd *cmd);

/* Write out what has been read, then close. Nothing happens if it has not started or is over. */
void cmd_join_stop(struct cmd_join *join);

#endif
