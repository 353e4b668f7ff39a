/** Cards that are to be one port from now on. */
import { Button, MultiSelect, Select, SimpleGrid } from '@mantine/core'
import { BOND_MODES } from '@stead/core/network/bond-plan.ts'
import { useText } from '../i18n/texts.ts'
import { FieldGroup } from '../parts/field-group.tsx'
import { TextField } from '../parts/text-field.tsx'
import { cardsOf, proposedBond, type SetupBond } from './setup-form.ts'
import type { StepProps } from './setup-steps.tsx'
import classes from './setup-page.module.css'

export function BondFields({ form, change, host }: Omit<StepProps, 'onLook'>) {
  const t = useText()
  const cards = cardsOf(host.ports)
  const set = (index: number, part: Partial<SetupBond>) =>
    change({ bonds: form.bonds.map((bond, at) => (at === index ? { ...bond, ...part } : bond)) })
  if (cards.length < 2) return null
  return (
    <>
      {form.bonds.map((bond, index) => (
        // Bonds have no other identity than their place.
        <FieldGroup key={index} title={t('setup.bond', { number: index + 1 })}>
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextField label={t('word.name')} value={bond.name} onChange={(name) => set(index, { name })} />
            <MultiSelect
              label={t('setup.bondPorts')}
              data={cards.map(({ name }) => name)}
              value={[...bond.ports]}
              onChange={(ports) => set(index, { ports })}
              searchable
            />
            <Select
              label={t('setup.bondMode')}
              description={t(`setup.bondModeText.${bond.mode}`)}
              data={[...BOND_MODES]}
              value={bond.mode}
              onChange={(next) => set(index, { mode: BOND_MODES.find((mode) => mode === next) ?? bond.mode })}
              allowDeselect={false}
            />
            <TextField
              label={t('setup.bondAddress')}
              description={t('setup.bondAddressText')}
              value={bond.address}
              onChange={(address) => set(index, { address })}
            />
          </SimpleGrid>
          <Button
            mt="xs"
            size="compact-xs"
            variant="default"
            onClick={() => change({ bonds: form.bonds.filter((_, at) => at !== index) })}
          >
            {t('setup.removeBond', { number: index + 1 })}
          </Button>
        </FieldGroup>
      ))}
      <Button
        variant="default"
        size="compact-sm"
        className={classes.alone ?? ''}
        onClick={() => change({ bonds: [...form.bonds, proposedBond(form.bonds)] })}
      >
        {t('setup.addBond')}
      </Button>
    </>
  )
}
