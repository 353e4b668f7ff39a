import { ActionIcon, Button, Checkbox, NumberInput, Select, TextInput } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { Icon } from '../parts/icon.tsx'
import { Panel } from '../parts/page.tsx'
import { emptyDisk, nextKey, withNativeRoot, type DiskForm } from './create-form.ts'
import type { FieldsProps } from './create-page.tsx'
import classes from './create-page.module.css'
import { RootCopyFields } from './root-copy-fields.tsx'

const DISKS_MAX = 12

/** Each disk: how large, on which pools, how many hosts hold a copy. */
export function CreateDisks({ form, onChange, complaint }: FieldsProps) {
  const t = useText()
  const all = useHosts().flatMap((host) => host.pools)
  const usable = form.isRootNative ? all.filter(({ subvolumes }) => subvolumes) : all
  const pools = [...new Set(usable.map(({ name }) => name))].toSorted()
  const set = (key: number, part: Partial<DiskForm>) =>
    onChange({ disks: form.disks.map((disk) => (disk.key === key ? { ...disk, ...part } : disk)) })
  return (
    <Panel
      title={t('column.disks')}
      aside={
        <Button
          size="compact-xs"
          variant="default"
          leftSection={<Icon name="plus" size={14} />}
          disabled={form.disks.length >= DISKS_MAX || form.isRootNative}
          onClick={() => onChange({ disks: [...form.disks, emptyDisk(nextKey(form.disks), 10)] })}
        >
          {t('create.addDisk')}
        </Button>
      }
    >
      {form.disks.length === 0 ? <p className={classes.dim}>{t('create.noDisk')}</p> : null}
      {form.disks.map((disk, index) => (
        <div
          key={disk.key}
          className={classes.disk}
          role="group"
          aria-label={t('create.diskNumber', { number: index })}
        >
          <NumberInput
            label={t('create.disk')}
            min={1}
            value={disk.sizeGib}
            error={complaint(`disks[${index}].sizeBytes`)}
            onChange={(value) => set(disk.key, { sizeGib: Number(value) })}
          />
          <Select
            label={t('create.copies')}
            data={(['1', '2', '3'] as const).map((value) => ({ value, label: t(`create.copies.${value}`) }))}
            value={String(disk.copies)}
            allowDeselect={false}
            disabled={form.isRootNative}
            onChange={(value) => set(disk.key, { copies: Number(value) as DiskForm['copies'] })}
          />
          <Select
            label={t('create.pool')}
            placeholder={t('create.anyPool')}
            data={pools}
            value={disk.pool === '' ? null : disk.pool}
            onChange={(pool) => set(disk.key, { pool: pool ?? '' })}
            clearable
          />
          {form.kind === 'ct' && index > 0 ? (
            <TextInput
              label={t('create.mountPath')}
              placeholder="/srv"
              value={disk.mountPath}
              error={complaint(`container.mounts[${index - 1}]`)}
              onChange={(event) => set(disk.key, { mountPath: event.currentTarget.value })}
            />
          ) : null}
          {form.kind === 'vm' || index > 0 ? (
            <ActionIcon
              className={classes.remove}
              variant="subtle"
              color="gray"
              aria-label={t('create.removeDisk', { number: index })}
              onClick={() => onChange({ disks: form.disks.filter(({ key }) => key !== disk.key) })}
            >
              <Icon name="close" size={16} />
            </ActionIcon>
          ) : null}
          {form.kind === 'ct' && index === 0 ? (
            <Checkbox
              className={classes.wide}
              label={t('create.nativeRoot')}
              description={t(all.some(({ subvolumes }) => subvolumes) ? 'create.nativeRootText' : 'create.noBtrfs')}
              checked={form.isRootNative}
              disabled={!form.isRootNative && !all.some(({ subvolumes }) => subvolumes)}
              onChange={(event) => onChange(withNativeRoot(form, event.currentTarget.checked))}
            />
          ) : null}
          {index === 0 && form.isRootNative ? (
            <RootCopyFields
              form={form.rootCopy}
              onChange={(part) => onChange({ rootCopy: { ...form.rootCopy, ...part } })}
              home={form.host === '' ? undefined : form.host}
              none={t('rootCopy.none')}
              error={complaint('rootCopy.everyMs')}
            />
          ) : null}
          {disk.image === '' ? null : (
            <Checkbox
              className={classes.wide}
              label={t('create.linked', { image: disk.image })}
              checked={disk.linked}
              onChange={(event) => set(disk.key, { linked: event.currentTarget.checked })}
            />
          )}
        </div>
      ))}
    </Panel>
  )
}
