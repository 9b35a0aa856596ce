/** Debian's Prometheus and its promtool; tests that need them are left out where they are missing. */
import { spawnSync } from 'node:child_process';

export const hasPromtool = spawnSync('promtool', ['--version']).error === undefined;
export const hasPrometheus = spawnSync('prometheus', ['--version']).error === undefined;
