/*
 * Threads that serve beside the main one (echo --threads), each a struct cmd with a loop of its own.
 * Nothing is shared on the path of a byte. The main loop has the signals and the timers; it tells its
 * workers when to stop, and ends after them.
 */
#ifndef MUXCAT_CMD_WORKER_H
#define MUXCAT_CMD_WORKER_H

#include "cmd.h"

/*
 * Make `worker` serve, at once, beside `main`, which listens already with `first`. The caller has set
 * the server's owner and arrived; its memory and the worker's are free once cmd_run(main) has
 * returned. False after a failure, which has been reported: main fails.
 */
bool cmd_add_worker(
	struct cmd *main, struct server *first, struct cmd *worker, struct server *server);

/* From the main loop's thread: the workers shall stop, as by cmd_stop. */
void cmd_stop_workers(struct cmd *main);

/* From the worker's: somebody has come. */
void cmd_tell_main(struct cmd *worker);

#endif
