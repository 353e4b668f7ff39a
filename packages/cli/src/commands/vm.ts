/** `stead vm`: what only virtual machines have, beside what all guests have. */
import type { Command } from 'commander'
import type { Terminal } from '../session.ts'
import { addGuestCommands } from './guest.ts'
import { addVmAgent } from './vm-agent.ts'
import { addVmConsole } from './vm-console.ts'
import { addVmCreate } from './vm-create.ts'
import { addVmMedia } from './vm-media.ts'
import { addVmMigrate } from './vm-move.ts'
import { addVmSet } from './vm-set.ts'

export function addVmCommands(program: Command, terminal: Terminal): void {
  const vm = program.command('vm').description('Virtual machines')
  addVmCreate(vm, terminal)
  addGuestCommands(vm, terminal)
  addVmSet(vm, terminal)
  addVmAgent(vm, terminal)
  addVmConsole(vm, terminal)
  addVmMedia(vm, terminal)
  addVmMigrate(vm, terminal)
}
