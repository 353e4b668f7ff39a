/** The lab's small guest as an image of a disk that starts by itself, as people have one who make a machine of it. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeBootDisk } from '@stead/lab/boot-disk.ts'
import { GUEST_APPEND } from '@stead/lab/guest-image.ts'
import { runCommand } from '@stead/lab/run-command.ts'
import { ROOT } from './lab-cluster.ts'

const SIZE_BYTES = 64 * 2 ** 20

/** The path of a qcow2 file in this folder. `does`: what the guest runs, as its kernel's command line tells it. */
export async function bootableGuest(folder: string, does: string): Promise<string> {
  const root = join(folder, 'root')
  const guest = join(ROOT, '.cache', 'guest')
  mkdirSync(join(root, 'boot', 'grub'), { recursive: true })
  copyFileSync(join(guest, 'kernel', 'vmlinuz'), join(root, 'boot', 'vmlinuz'))
  copyFileSync(join(guest, 'initrd.img'), join(root, 'boot', 'initrd.img'))
  writeFileSync(
    join(root, 'boot', 'grub', 'grub.cfg'),
    `linux /boot/vmlinuz ${GUEST_APPEND} stead.run=${does}\ninitrd /boot/initrd.img\nboot\n`,
  )
  const raw = join(folder, 'disk.raw')
  const made = await makeBootDisk({
    ...{ path: raw, sizeBytes: SIZE_BYTES, rootFolder: root, label: 'small', workFolder: folder, efiFiles: {} },
    uuid: '5eadb007-0000-4000-8000-000000000064',
  })
  assert.ok(made.ok, JSON.stringify(made))
  const image = join(folder, 'small-guest.qcow2')
  const packed = await runCommand('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image], {
    timeoutMs: 60_000,
  })
  assert.ok(packed.ok, JSON.stringify(packed))
  return image
}
