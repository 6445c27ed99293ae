#include "cmd_worker.h"

#include <errno.h>

/* ---- in the worker's thread ---- */

static void told_to_stop(struct mux_task *task)
{
	struct cmd *worker = container_of(task, struct cmd, told_to_stop);

	mux_release(worker->mux);
	cmd_stop(worker);
}

static void *run(void *argument)
{
	struct cmd *worker = argument;
	int error = mux_run(worker->mux);

	if (error)
		cmd_loop_failed(worker, error);
	mux_post(worker->main->mux, &worker->ended);
	return NULL;
}

void cmd_tell_main(struct cmd *worker)
{
	if (worker->told_main)
		return;
	worker->told_main = true;
	mux_post(worker->main->mux, &worker->somebody_came);
}

/* ---- in the main thread ---- */

static void somebody_came(struct mux_task *task)
{
	cmd_somebody_came(container_of(task, struct cmd, somebody_came)->main);
}

static void release(struct cmd *worker)
{
	mux_free(worker->mux);
	tls_context_free(worker->tls_server);
}

static void ended(struct mux_task *task)
{
	struct cmd *worker = container_of(task, struct cmd, ended);

	pthread_join(worker->thread, NULL);
	release(worker);
	mux_release(worker->main->mux);
}

static int open_worker(struct cmd *main, struct cmd *worker)
{
	const struct options *options = main->options;
	int error = 0;

	worker->main = main;
	worker->options = options;
	worker->stop = main->stop;
	worker->told_to_stop.run = told_to_stop;
	worker->somebody_came.run = somebody_came;
	worker->ended.run = ended;
	worker->mux = mux_new(options->backend, options->edge, &error);
	if (error || !main->tls_server)
		return error;
	worker->tls_server = tls_context_share(main->tls_server);
	return worker->tls_server ? 0 : -ENOMEM;
}

/* One that could not begin. Its loop runs to the end of what has been opened. */
static bool fail(struct cmd *worker, int error)
{
	if (error)
		report_error("--threads: %s", os_error(error));
	if (worker->mux) {
		mux_run(worker->mux);
		release(worker);
	}
	cmd_fail(worker->main, CMD_ERROR);
	return false;
}

bool cmd_add_worker(
	struct cmd *main, struct server *first, struct cmd *worker, struct server *server)
{
	int error = open_worker(main, worker);

	if (error || !cmd_listen_beside(worker, server, first))
		return fail(worker, error);
	mux_hold(worker->mux);
	error = -pthread_create(&worker->thread, NULL, run, worker);
	if (error) {
		told_to_stop(&worker->told_to_stop);
		return fail(worker, error);
	}
	mux_hold(main->mux);
	list_add(&main->workers, &worker->beside);
	return true;
}

void cmd_stop_workers(struct cmd *main)
{
	list_each(link, main->workers) {
		struct cmd *worker = container_of(link, struct cmd, beside);

		mux_post(worker->mux, &worker->told_to_stop);
	}
}
