/** A guest is reset while its balloon is full: the balloon follows again, and says so. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { qemuOf } from './support/fault-watch.ts'
import { LabCluster } from './support/lab-cluster.ts'

const NAME = 'reset'
const MEBIBYTE = 2 ** 20

/** Resets itself once its balloon has taken memory; after that the balloon's driver comes late. */
const SCRIPT = `
if [ "$(dd if=/dev/vda bs=1 count=4 2>/dev/null)" = DONE ]; then
  echo SECOND; sleep 12
  insmod /modules/virtio_balloon.ko; echo LOADED
  while :; do sleep 1; done
fi
insmod /modules/virtio_balloon.ko
left() { awk '/MemFree/ { print $2 }' /proc/meminfo; }
all=$(left); echo FIRST
while [ $(left) -gt $((all - 40000)) ]; do usleep 200000; done
sleep 2
printf DONE | dd of=/dev/vda bs=4 conv=notrunc,fsync 2>/dev/null
reboot -f
`

suite('a balloon of a guest that is reset', { timeout: 300_000 }, () => {
  let lab: LabCluster
  const says = (word: string) =>
    lab.until(`it says ${word}`, async () => new RegExp(`^${word}`, 'm').test(await lab.console(NAME)), 120_000)
  const leaves = async () => (await lab.guest(NAME)).now?.balloonBytes

  before(async () => {
    lab = await LabCluster.up({ hosts: 1 })
    await lab.createScripted(NAME, SCRIPT, { host: 'h1', memory: '256MiB', more: ['--max-memory', '384MiB'] })
    await says('FIRST')
  })
  after(() => lab?.down())

  test('is emptied though its new driver has nothing to do', async () => {
    const pid = qemuOf(lab, NAME)
    await lab.must('vm', 'set', NAME, '--balloon', '192MiB')
    await says('SECOND')
    assert.equal(await leaves(), 192 * MEBIBYTE)
    // Before there is a driver: it finds an empty balloon that is to be empty.
    await lab.must('vm', 'set', NAME, '--balloon', 'off')
    await says('LOADED')
    await lab.until('the balloon is empty', async () => (await leaves()) === 256 * MEBIBYTE)
    await lab.until('nothing is pending', async () => (await lab.guest(NAME)).pending.length === 0)
    assert.equal(qemuOf(lab, NAME), pid, 'it was reset, not started anew')
  })
})
