// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Holds device files in every way that a program can. Prints "ready PID" (PID: who holds, as init's
 * namespace sees it) once it holds, then waits for a signal.
 *
 *   rig-hold [--name COMM] MODE ARGUMENTS
 *     fd PATH...            an open descriptor for each PATH
 *     map PATH              a mapping whose descriptor is closed
 *     loop PATH PERIOD_US   opens and closes for ever; 0: as fast as it can
 *     namespace PATH        own mount and pid namespaces, own node (same numbers, other name)
 *     inflight PATH         a descriptor sent over a unix socket and never received
 *     dmabuf PATH           a dma-buf of the stand-in driver; the card's own descriptor is closed
 *     crowd N M             N processes with M open files each, none of them the card (for benchmarks)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NVSIM_IOCTL_DMABUF _IO('N', 1)

static void die(const char *what)
{
	fprintf(stderr, "rig-hold: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* O_RDWR where it may, else what is left: a sound or drm node may be read-only to the user. */
static int open_any(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void ready(pid_t pid)
{
	printf("ready %d\n", (int)pid);
	fflush(stdout);
}

static void wait_for_signal(void)
{
	for (;;)
		pause();
}

static void hold_map(const char *path)
{
	int fd = open_any(path);

	if (mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		die("mmap");
	close(fd);
	ready(getpid());
	wait_for_signal();
}

static void hold_loop(const char *path, unsigned int period)
{
	ready(getpid());
	for (;;) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		if (period)
			usleep(period);
	}
}

static void hold_in_namespace(const char *path)
{
	struct stat node;
	int pipe_fd[2];
	pid_t child;
	char byte;

	if (stat(path, &node) || pipe(pipe_fd))
		die(path);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID))
		die("unshare");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("rig", "/mnt", "tmpfs", 0, NULL))
			die("mount");
		if (mknod("/mnt/gpu", node.st_mode, node.st_rdev))
			die("mknod");
		open_any("/mnt/gpu");
		if (write(pipe_fd[1], "x", 1) != 1)
			die("write");
		wait_for_signal();
	}
	close(pipe_fd[1]);
	if (read(pipe_fd[0], &byte, 1) != 1)
		exit(1);
	ready(child);
	waitpid(child, NULL, 0);
	exit(0);
}

static void hold_in_flight(const char *path)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2], fd = open_any(path);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("socketpair");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	if (sendmsg(pair[0], &message, 0) != 1)
		die("sendmsg");
	close(fd);
	ready(getpid());
	wait_for_signal();
}

static void hold_dmabuf(const char *path)
{
	int fd = open_any(path);

	if (ioctl(fd, NVSIM_IOCTL_DMABUF) < 0)
		die("ioctl");
	close(fd);
	ready(getpid());
	wait_for_signal();
}

static void crowd(unsigned int processes, unsigned int files)
{
	struct rlimit limit = { .rlim_cur = files + 64, .rlim_max = files + 64 };
	int done[2];
	char byte;
	unsigned int i, j;

	if (pipe(done))
		die("pipe");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	for (i = 0; i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork");
		if (child)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (j = 0; j < files; j++)
			if (open(j % 2 ? "/dev/null" : "/proc/self/status", O_RDONLY | O_CLOEXEC) < 0)
				die("open");
		if (write(done[1], "x", 1) != 1)
			die("write");
		wait_for_signal();
	}
	for (i = 0; i < processes; i++)
		if (read(done[0], &byte, 1) != 1)
			die("read");
	ready(getpid());
	wait_for_signal();
}

int main(int count, char **arguments)
{
	const char *mode;

	if (count > 2 && !strcmp(arguments[1], "--name")) {
		prctl(PR_SET_NAME, arguments[2]);
		count -= 2;
		arguments += 2;
	}
	if (count < 3)
		goto usage;
	mode = arguments[1];
	if (!strcmp(mode, "fd")) {
		for (int i = 2; i < count; i++)
			open_any(arguments[i]);
		ready(getpid());
		wait_for_signal();
	}
	if (!strcmp(mode, "map"))
		hold_map(arguments[2]);
	if (!strcmp(mode, "loop") && count == 4)
		hold_loop(arguments[2], strtoul(arguments[3], NULL, 10));
	if (!strcmp(mode, "namespace"))
		hold_in_namespace(arguments[2]);
	if (!strcmp(mode, "inflight"))
		hold_in_flight(arguments[2]);
	if (!strcmp(mode, "dmabuf"))
		hold_dmabuf(arguments[2]);
	if (!strcmp(mode, "crowd") && count == 4)
		crowd(strtoul(arguments[2], NULL, 10), strtoul(arguments[3], NULL, 10));
usage:
	fprintf(stderr, "usage: rig-hold [--name COMM] fd|map|loop|namespace|inflight|dmabuf|crowd ...\n");
	return 2;
}
