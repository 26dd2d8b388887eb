// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Stand-in for nvidia-persistenced and nvidia-powerd: a daemon of the forking kind that keeps device nodes
 * open. As NVIDIA's library does, it makes a missing node itself, and opening it loads the driver.
 *
 *   nvidia-persistenced [--user USER] MINOR...   (minors of major 195; 255 is nvidiactl)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	struct passwd *user = NULL;
	pid_t child;
	int i = 1;

	if (count > 2 && !strcmp(arguments[1], "--user")) {
		user = getpwnam(arguments[2]);
		if (!user) {
			fprintf(stderr, "%s: no user %s\n", arguments[0], arguments[2]);
			return 1;
		}
		i = 3;
	}
	for (; i < count; i++) {
		char path[32];
		unsigned int minor = strtoul(arguments[i], NULL, 10);

		if (minor == 255)
			snprintf(path, sizeof(path), "/dev/nvidiactl");
		else
			snprintf(path, sizeof(path), "/dev/nvidia%u", minor);
		umask(0);
		if (mknod(path, S_IFCHR | 0666, makedev(195, minor)) && errno != EEXIST)
			fprintf(stderr, "%s: cannot make %s: %s\n", arguments[0], path, strerror(errno));
		if (open(path, O_RDWR | O_CLOEXEC) < 0) {
			fprintf(stderr, "%s: Failed to open %s: %s\n", arguments[0], path, strerror(errno));
			return 1;
		}
	}
	if (user && (setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid))) {
		perror("setuid");
		return 1;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child)
		return 0;
	setsid();
	for (;;)
		pause();
}
