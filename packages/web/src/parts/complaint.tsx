import classes from './complaint.module.css'

/** What speaks against what was filled in; nothing when nothing does, or when it is too early to say so. */
export function Complaint({ text }: { text: string | undefined }) {
  if (text === undefined) return null
  return (
    <p className={classes.complaint} role="status">
      {text}
    </p>
  )
}
