import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { criuScript, networkScript, type RestoreScripts } from './restore-scripts.ts'

const SCRIPTS: RestoreScripts = {
  criu: "/opt/the admin's/criu",
  nativeDir: '/usr/lib/stead',
  images: '/run/live/images',
  rootPath: '/run/live/rootfs',
  idBase: 1_000_000,
  nics: [
    {
      ...{ hostEnd: 'st123456780', name: 'eth0', mac: '02:00:00:00:00:01', bridge: 'br0', mtu: 1450 },
      ...{ addresses: [], gateways: [] },
    },
  ],
  checkpoint: { devices: ['null', 'tty'], tty: 'tty[8801:1a]', links: [{ name: 'eth0', index: 7 }] },
}

/** A shell reads it whole without running any of it. */
function check(script: string): void {
  execFileSync('sh', ['-n'], { input: script, stdio: ['pipe', 'ignore', 'inherit'] })
}

test('what LXC finds as CRIU maps the root to the container’s ids and hands in what is the host’s', () => {
  const script = criuScript(SCRIPTS, '/run/live/bin/network')
  check(script)
  assert.match(script, /stead-mount' map '\/run\/live\/rootfs' "\$root" 1000000 65536\n/)
  assert.match(script, /exec '\/opt\/the admin'\\''s\/criu' restore --restore-detached --restore-sibling /)
  assert.match(script, /--external 'mnt\[dev-null\]:\/dev\/null' --external 'mnt\[dev-tty\]:\/dev\/tty'/)
  assert.match(script, /--inherit-fd 'fd\[9\]:tty\[8801:1a\]'/)
})

test('the container is given its control groups, in each hierarchy that has one of this name', () => {
  const script = criuScript(SCRIPTS, '/run/live/bin/network')
  const [loop = ''] = /^for place in [^]*?^done$/m.exec(script) ?? []
  const mounts = [
    '30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:4 - tmpfs tmpfs ro,mode=755',
    '31 30 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw',
    '32 30 0:28 /../.. /sys/fs/cgroup/pids rw shared:6 - cgroup cgroup rw,pids',
  ]
  const said = loop
    .replace('/proc/self/mountinfo', '-')
    .replace('cd "$place$path" 2>/dev/null', 'echo "$place$path"')
    .replaceAll(/chgrp|chmod|chown/g, ': $&')
  const output = execFileSync('sh', ['-euc', `path=/stead-1\n${said}`], { input: mounts.join('\n'), encoding: 'utf8' })
  assert.deepEqual(output.trim().split('\n'), ['/sys/fs/cgroup/pids/stead-1', '/sys/fs/cgroup/unified/stead-1'])
  assert.match(loop, /chgrp 1000000 \.\n/)
})

test('its cards keep their numbers, and are heard only when its sockets are there', () => {
  const script = networkScript(SCRIPTS)
  check(script)
  const [before, after] = script.split('network-unlock)')
  assert.match(before ?? '', /peer index 7 name eth0 address 02:00:00:00:00:01 mtu 1450 netns \$CRTOOLS_INIT_PID/)
  assert.doesNotMatch(before ?? '', /set st123456780 up/)
  assert.match(after ?? '', /link set st123456780 up/)
})

test('a container without cards has its loopback', () => {
  const script = networkScript({ ...SCRIPTS, nics: [] })
  check(script)
  assert.match(script, /link set lo up/)
})
