import { runProgram } from '../process/run-program.ts'

const PING_MS = 5_000

/** Whether a machine answers at the address, whatever runs on it: one that does is not switched off. */
export async function answersPing(address: string): Promise<boolean> {
  const told = await runProgram('ping', ['-n', '-q', '-c', '3', '-i', '0.2', '-W', '1', address], PING_MS)
  return told.ok
}
