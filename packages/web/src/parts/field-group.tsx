import type { ReactNode } from 'react'
import classes from './field-group.module.css'

/** Fields that belong together, under one name. */
export function FieldGroup({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className={classes.group}>
      <legend>{title}</legend>
      {children}
    </fieldset>
  )
}
