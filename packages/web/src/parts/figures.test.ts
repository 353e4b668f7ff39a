import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ageText, bytesText, durationText, latencyText, percentText, speedText } from './figures.ts'

test('bytes have three digits at most and the unit of the language', () => {
  assert.equal(bytesText(0, 'en'), '0 B')
  assert.equal(bytesText(4 * 2 ** 30, 'en'), '4 GiB')
  assert.equal(bytesText(1.5 * 2 ** 40, 'en'), '1.5 TiB')
  assert.equal(bytesText(1.5 * 2 ** 40, 'fr'), '1,5 Tio')
  assert.equal(bytesText(123.4 * 2 ** 20, 'pl'), '123 MiB')
})

test('an age is told in the largest unit of which there is one', () => {
  assert.equal(ageText(1_000, 30_000, 'en'), 'now')
  assert.equal(ageText(0, 3 * 60_000, 'en'), '3 minutes ago')
  assert.equal(ageText(0, 26 * 3_600_000, 'en'), 'yesterday')
  assert.equal(ageText(0, 5 * 60_000, 'pl'), '5 minut temu')
})

test('durations and shares are short', () => {
  assert.equal(durationText(80, 'en'), '80 ms')
  assert.equal(durationText(4_230, 'en'), '4.2 s')
  assert.equal(durationText(180_000, 'en'), '3 min')
  assert.equal(percentText(1, 3, 'en'), '33%')
  assert.equal(percentText(1, 0, 'en'), '0%')
})

test('speeds are told as they are printed on switches', () => {
  assert.equal(speedText(2.5e9, 'en'), '2.5 Gbit/s')
  assert.equal(speedText(100e6, 'fr'), '100 Mbit/s')
})

test('the way of a packet is told in milliseconds, however short', () => {
  assert.equal(latencyText(0.118, 'en'), '0.12 ms')
  assert.equal(latencyText(12.4, 'fr'), '12 ms')
})
