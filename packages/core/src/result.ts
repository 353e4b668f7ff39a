/**
 * Expected failures are values. `Result` carries either a value or a `Failure` that an administrator
 * can act on; programmer errors stay exceptions (see `assert.ts`).
 */
import type { Failure } from './errors.ts'

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Failure }

export function ok(): Result<void>
export function ok<T>(value: T): Result<T>
export function ok<T>(value?: T): Result<T | undefined> {
  return { ok: true, value }
}

export function fail<T = never>(error: Failure): Result<T> {
  return { ok: false, error }
}
