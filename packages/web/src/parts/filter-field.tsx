import { TextInput } from '@mantine/core'
import classes from './filter-field.module.css'
import { Icon } from './icon.tsx'

/** What a list is narrowed by. */
export function FilterField(props: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <TextInput
      className={classes.filter}
      leftSection={<Icon name="search" size={15} />}
      placeholder={props.label}
      aria-label={props.label}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    />
  )
}
