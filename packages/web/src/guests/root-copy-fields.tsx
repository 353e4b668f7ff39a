/** What is wanted of the copy that follows a native root: asked when that is made, and when it is to be another. */
import { NumberInput, Select } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import type { RootCopyForm } from './root-copy-form.ts'

const ON_LOSS = ['wait', 'start-from-copy'] as const

interface Props {
  readonly form: RootCopyForm
  readonly onChange: (part: Partial<RootCopyForm>) => void
  /** Where the root itself is, or is to be. */
  readonly home: string | undefined
  /** What it is called to have none; absent: that is no choice. */
  readonly none?: string | undefined
  readonly error?: string | undefined
}

export function RootCopyFields({ form, onChange, home, none, error }: Props) {
  const t = useText()
  const hosts = useHosts().filter(({ name, pools }) => name !== home && pools.some(({ subvolumes }) => subvolumes))
  const isNone = form.onLoss === 'none'
  return (
    <>
      <Select
        label={t('rootCopy.onLoss')}
        data={[
          ...(none === undefined ? [] : [{ value: 'none', label: none }]),
          ...ON_LOSS.map((value) => ({ value, label: t(`rootCopy.${value}`) })),
        ]}
        value={form.onLoss}
        onChange={(value) => onChange({ onLoss: (value ?? 'wait') as RootCopyForm['onLoss'] })}
        allowDeselect={false}
      />
      <Select
        label={t('rootCopy.to')}
        data={[{ value: '', label: t('rootCopy.anyHost') }, ...hosts.map(({ name }) => ({ value: name, label: name }))]}
        value={form.to}
        onChange={(value) => onChange({ to: value ?? '' })}
        allowDeselect={false}
        disabled={isNone}
      />
      <NumberInput
        label={t('rootCopy.every')}
        min={1}
        value={form.minutes}
        error={error}
        onChange={(value) => onChange({ minutes: Number(value) })}
        disabled={isNone}
      />
    </>
  )
}
